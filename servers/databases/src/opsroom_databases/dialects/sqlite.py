"""SQLite: which functions, PRAGMAs and built-in tables a read-only query may use."""

import re

from . import Rules

_SCALAR = """
    abs changes char coalesce concat concat_ws format glob hex ifnull if iif instr last_insert_rowid length like likelihood
    likely lower ltrim max min nullif octet_length printf quote random replace round rtrim sign soundex sqlite_compileoption_get
    sqlite_compileoption_used sqlite_source_id sqlite_version substr substring subtype total_changes trim typeof unhex
    unicode unistr unistr_quote unlikely upper zeroblob
"""
_AGGREGATE = "avg count group_concat median percentile percentile_cont percentile_disc string_agg sum total"
_WINDOW = "row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value"
_TIME = "date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp"
_MATH = """
    acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power
    radians sin sinh sqrt tan tanh trunc
"""
_JSON = """
    json json_array json_array_insert json_array_length json_each json_error_position json_extract json_group_array
    json_group_object json_insert json_object json_patch json_pretty json_quote json_remove json_replace json_set json_tree
    json_type json_valid jsonb jsonb_array jsonb_each jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert
    jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set jsonb_tree
"""
_SEARCH = "bm25 highlight match matchinfo offsets regexp snippet"
_SPATIAL = "rtreedepth"

# Read without an argument they only report; with a value most of them would change the session or the file.
_REPORTS = """
    analysis_limit application_id auto_vacuum automatic_index busy_timeout cache_size cache_spill cell_size_check
    checkpoint_fullfsync collation_list compile_options data_version database_list default_cache_size defer_foreign_keys
    encoding foreign_key_check foreign_keys freelist_count fullfsync function_list hard_heap_limit ignore_check_constraints
    integrity_check journal_mode journal_size_limit legacy_alter_table locking_mode max_page_count mmap_size module_list
    page_count page_size pragma_list query_only quick_check read_uncommitted recursive_triggers reverse_unordered_selects
    schema_version secure_delete soft_heap_limit synchronous table_list temp_store threads trusted_schema user_version
    wal_autocheckpoint writable_schema
    """
_PRAGMAS = frozenset(_REPORTS.split())
_LOOKS_AT = """
    foreign_key_check foreign_key_list index_info index_list index_xinfo integrity_check quick_check table_info table_list
    table_xinfo
    """
_PRAGMAS_WITH_ARGUMENT = frozenset(_LOOKS_AT.split())
_PRAGMA_TABLES = frozenset(f"pragma_{name}" for name in _PRAGMAS | _PRAGMAS_WITH_ARGUMENT)
# The modules behind tables that may be read; of any other that an engine brings, nobody knows what it shows.
_BUILT_IN = "dbstat fts3 fts3tokenize fts4 fts4aux fts5 fts5vocab geopoly json_each json_tree rtree rtree_i32"
MODULES = frozenset(_BUILT_IN.split()) | _PRAGMA_TABLES


_PLAIN_WORDS = """
    any describe fetch grant ilike interval lateral overlaps partitioned_by qualify revoke rlike tablesample uncache xor
"""

_RESERVED = """
    add all alter and as autoincrement between case cast check collate commit constraint create current_date current_time
    current_timestamp default deferrable delete distinct drop else escape except exists foreign from group having if in index
    insert intersect into is isnull join limit not nothing notnull null on or order primary raise references returning select
    set table then to transaction union unique update using values when where
"""
RESERVED = frozenset(_RESERVED.split())
"""Words that are names only in quotes."""

RULES = Rules(
    dialect="sqlite",
    functions=frozenset(f"{_SCALAR} {_AGGREGATE} {_WINDOW} {_TIME} {_MATH} {_JSON} {_SEARCH} {_SPATIAL}".split())
    | _PRAGMA_TABLES,
    operators=frozenset({"->", "->>", "like", "glob", "match", "regexp"}),
    pragmas=_PRAGMAS,
    pragmas_with_argument=_PRAGMAS_WITH_ARGUMENT,
    nodes=frozenset({"Glob", "Match"}),
    denied_relations=re.compile(
        # raw pages and other connections' statements; every pragma_ table that is not an allowed PRAGMA
        rf"sqlite_dbpage|sqlite_stmt|bytecode|tables_used|(?!(?:{'|'.join(sorted(_PRAGMA_TABLES))})$)pragma_.*",
        re.IGNORECASE,
    ),
    plain_words=frozenset(_PLAIN_WORDS.split()),
    tables_take_arguments=True,
    explain_words=((), ("QUERY", "PLAN")),
)
