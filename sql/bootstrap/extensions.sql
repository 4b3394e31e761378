-- Sorted integer sets (object ids of a learner's day). A trusted extension: the owner of the database may create it.
create schema if not exists extensions;
create extension if not exists intarray with schema extensions;
