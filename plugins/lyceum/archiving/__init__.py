"""Archives: rows of one period in Parquet with a manifest, written, proven, listed, and brought back."""

from lyceum.archiving.archive import (
    StoredArchive,
    load_archive,
    manifest_name,
    open_archive,
    require_rows,
    summarize_rows,
    write_archive,
)
from lyceum.archiving.errors import ArchiveError
from lyceum.archiving.files import ArchiveFiles, archive_files, remove_others
from lyceum.archiving.manifest import Manifest
from lyceum.archiving.partitions import (
    RestoredPartition,
    archive_partition,
    is_archived,
    restore_partition,
    restored_partitions,
)
from lyceum.archiving.scope import ArchiveScope, find_rows, scope_of_partition
from lyceum.archiving.table_rows import has_rows, pin_text_forms

__all__ = [
    "ArchiveError",
    "ArchiveFiles",
    "ArchiveScope",
    "Manifest",
    "RestoredPartition",
    "StoredArchive",
    "archive_files",
    "archive_partition",
    "find_rows",
    "has_rows",
    "is_archived",
    "load_archive",
    "manifest_name",
    "open_archive",
    "pin_text_forms",
    "remove_others",
    "require_rows",
    "restore_partition",
    "restored_partitions",
    "scope_of_partition",
    "summarize_rows",
    "write_archive",
]
