"""Where a published number comes from: the days that each batch brought, the way through the models, and events that tell others."""
