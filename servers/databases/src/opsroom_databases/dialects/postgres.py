"""PostgreSQL: which functions, relations and words a read-only query may use."""

import re

# What its own grammar, not a function, makes of a word before a parenthesis: the reserved words, and those that no function
# may be named like (categories R and C of pg_get_keywords(), versions 12 to 18). What it calls for them is harmless.
_RESERVED = """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create current_catalog
    current_date current_role current_time current_timestamp current_user default deferrable desc distinct do else end except
    false fetch for foreign from grant group having in initially intersect into lateral leading limit localtime localtimestamp
    not null offset on only or order placing primary references returning select session_user some symmetric system_user table
    then to trailing true union unique user using variadic when where window with
"""
_NEVER_FUNCTIONS = """
    between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping inout int integer
    interval json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize
    json_table json_value least merge_action national nchar none normalize nullif numeric out overlay position precision real
    row setof smallint substring time timestamp treat trim values varchar xmlattributes xmlconcat xmlelement xmlexists xmlforest
    xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""
GRAMMAR_WORDS = frozenset(f"{_RESERVED} {_NEVER_FUNCTIONS}".split())

# Words that the grammar also lets stand before a parenthesis, and that a function may be named like all the same.
_ALSO_SYNTAX = """
    authorization binary by collation columns concurrently content cross cube day document escape exclude filter first
    following freeze full groups hour ilike inner is isnull join key keys left like like_regex materialized minute month
    natural nested next notnull of operator ordinality outer over overlaps partition passing path preceding range recursive
    repeatable right rollup rows second sets similar tablesample ties uescape value verbose within without year zone
"""
ALSO_SYNTAX = frozenset(_ALSO_SYNTAX.split())

# Functions that the read-only transaction does not hold, whatever they are marked as: they run SQL in a text, read or write
# files, reach other servers, or change the session.
_DENIED_FUNCTIONS = r"""
    (?:query|table|cursor|schema|database)_to_xml.* ts_stat ts_rewrite crosstab.* connectby xpath_table dblink.* set_config
    pg_read_.* pg_ls_.* pg_stat_file pg_file_.* pg_logdir_ls lo_.* loread lowrite pg_hba_file_rules pg_ident_file_mappings
    pg_show_all_file_settings pg_advisory_.* pg_try_advisory_.* pg_(?:terminate|cancel)_backend pg_get_wal_(?:record|block|fpi).*
    get_raw_page.* pg_sleep.* binary_upgrade_.* pg_logical_.* hypopg.*
"""
DENIED_FUNCTIONS = re.compile("|".join(_DENIED_FUNCTIONS.split()))

# Volatile functions of the engine and of extensions only report, or only make a value. All other volatile ones are refused.
_REPORTING = r"""
    bernoulli clock_timestamp current_query gen_random_bytes gen_random_uuid gen_salt normal_rand pg_blocking_pids
    pg_buffercache_(?:pages|summary|usage_counts) pg_collation_actual_version pg_control_(?:checkpoint|init|recovery|system)
    pg_current_wal_(?:flush_|insert_)?lsn pg_database_collation_actual_version pg_database_size pg_freespace
    pg_get_backend_memory_contexts pg_get_multixact_members pg_get_shmem_allocations.* pg_get_wal_replay_pause_state
    pg_get_wal_resource_managers pg_get_wal_summarizer_state pg_get_aios pg_indexes_size pg_is_in_recovery
    pg_is_wal_replay_paused pg_jit_available pg_last_committed_xact pg_last_wal_(?:receive|replay)_lsn
    pg_last_xact_replay_timestamp pg_lock_status pg_notification_queue_usage pg_partition_(?:ancestors|tree) pg_prepared_xact
    pg_relation_size pg_relpages pg_replication_origin_(?:progress|session_is_setup) pg_safe_snapshot_blocking_pids
    pg_sequence_last_value pg_show_replication_origin_status pg_stat_get_.* pg_stat_have_stats pg_stat_statements
    pg_stat_statements_info pg_table_size pg_tablespace_size pg_total_relation_size pg_visibility_map_summary
    pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_xact_status pgstatginindex pgstathashindex pgstatindex
    pgstattuple pgstattuple_approx random random_normal setseed system system_rows system_time timeofday txid_status
    uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 uuidv4 uuidv7
"""
REPORTING_FUNCTIONS = re.compile("|".join(_REPORTING.split()))

# Relations with passwords, connection strings, or the contents of files.
_DENIED_RELATIONS = r"""
    pg_authid pg_shadow pg_user_mappings? _pg_user_mappings user_mapping_options pg_subscription pg_hba_file_rules
    pg_ident_file_mappings pg_file_settings pg_largeobject pg_dist_authinfo
"""
DENIED_RELATIONS = re.compile("|".join(_DENIED_RELATIONS.split()))

# What may stand in the parentheses behind EXPLAIN.
_EXPLAIN_OPTIONS = "analyze buffers costs format generic_plan memory serialize settings summary timing verbose wal"
EXPLAIN_OPTIONS = frozenset(_EXPLAIN_OPTIONS.split())

# SHOW would give away what only superusers may see: a connection string with its password, a command that prints one.
HIDDEN_SETTINGS = frozenset({"primary_conninfo", "ssl_passphrase_command", "archive_command", "restore_command"})

# In the source of a function that is not declared STABLE or IMMUTABLE, these may change something.
_WRITING = """
    alter analyze call checkpoint cluster copy create deallocate delete discard do drop execute grant import insert listen load
    lock merge notify prepare reassign refresh reindex reset revoke security set truncate unlisten update vacuum
"""
WRITING_WORDS = frozenset(_WRITING.split())
