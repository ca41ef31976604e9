"""The engines that are reached through SQLAlchemy: the generic rules, and what is known of single ones, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import Rules

_TEXT = """
    ascii btrim char char_length character_length charindex chr concat concat_ws contains ends_with endswith format initcap
    instr lcase left len length levenshtein locate lower lpad ltrim octet_length position quote_literal regexp_count
    regexp_extract regexp_extract_all regexp_instr regexp_like regexp_matches regexp_replace regexp_split_to_array
    regexp_substr repeat replace replicate reverse right rpad rtrim soundex space split split_part starts_with startswith
    str_split string_split string_to_array strpos stuff substr substring substring_index translate trim ucase unicode upper
"""
_NUMBERS = """
    abs acos acosh asin asinh atan atan2 atanh atn2 cbrt ceil ceiling cos cosh cot degrees exp factorial floor gcd greatest
    isfinite isinf isnan is_inf is_nan lcm least ln log log10 log2 mod pi pow power radians rand random round sign sin sinh
    sqrt square tan tanh trunc truncate uniform width_bucket
"""
_TIMES = """
    add_months age convert_timezone current_date current_datetime current_time current_timestamp date date_add date_bin
    date_diff date_format date_from_parts date_part date_sub date_trunc dateadd datediff datefromparts datename datepart
    datetime datetime_trunc datetrunc day dayname dayofmonth dayofweek dayofyear days_between eomonth epoch epoch_ms epoch_ns
    epoch_us extract from_unixtime getdate getutcdate hour interval isodow isoyear last_day localtime localtimestamp
    make_date make_time make_timestamp microsecond millisecond minute month monthname months_between next_day now numtodsinterval
    numtoyminterval parse_date parse_timestamp quarter second strftime strptime switchoffset sysdate sysdatetime
    systimestamp time time_bucket time_slice timestamp timestamp_diff timestamp_trunc timestampadd timestampdiff timezone
    to_date to_seconds to_days to_hours to_minutes to_months to_timestamp to_timestamp_tz to_years today try_strptime
    unix_timestamp week weekofyear year yearweek
"""
_AGGREGATES = """
    any_value approx_count_distinct approx_distinct approx_percentile approx_quantile arbitrary arg_max arg_min argmax argmin
    array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count count_big count_if countif covar_pop covar_samp entropy
    every first geomean group_concat grouping grouping_id histogram kurtosis last list listagg mad max max_by mean median min
    min_by mode percentile percentile_cont percentile_disc product quantile quantile_cont quantile_disc ratio_to_report
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem skewness stddev
    stddev_pop stddev_samp stdev stdevp string_agg sum total var varp var_pop var_samp variance
"""
_WINDOWS = "cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number"
_CHOICES = """
    cast choose coalesce convert decode if ifnull iff iif isnull nanvl nullif nvl nvl2 safe_cast to_boolean to_char to_decimal
    to_double to_number try_cast try_convert typeof zeroifnull
"""
_JSON = """
    from_json get_json_object isjson json json_array json_array_length json_contains json_exists json_extract json_extract_path
    json_extract_path_text json_extract_scalar json_extract_string json_group_array json_group_object json_keys json_object
    json_query json_type json_valid json_value parse_json to_json try_parse_json
"""
_LISTS = """
    array array_append array_cat array_concat array_contains array_distinct array_intersect array_length array_max array_min
    array_position array_prepend array_remove array_size array_slice array_sort array_sum array_to_string cardinality
    element_at explode flatten generate_series list_aggregate list_append list_avg list_concat list_contains list_count
    list_distinct list_extract list_filter list_has list_has_all list_has_any list_max list_min list_position list_reduce
    list_reverse list_reverse_sort list_slice list_sort list_sum list_transform list_unique list_value list_zip map
    map_entries map_extract map_from_entries map_keys map_values range row struct struct_extract struct_keys struct_pack
    union_extract union_tag unnest
"""
_BITS = """
    base64 base64_encode bin bit_count bit_length bitand bitor bitxor crc32 from_base64 from_hex hash hex hextoraw md5
    ora_hash rawtohex sha sha1 sha2 sha256 sha512 standard_hash to_base64 to_hex unhex uuid
"""
_ABOUT = "current_catalog current_database current_schema current_user database db_name schema_name user user_name version"
# `x::DECIMAL(10, 2)` looks like a call, and so do some words of a query.
_TYPES = """
    bigint binary bit bytea character datetime2 datetimeoffset decimal double enum float int integer nchar number numeric
    nvarchar nvarchar2 raw real smallint string text timestamptz tinyint varbinary varchar varchar2 varying
"""
_WORDS = "cube exclude except rollup sets some within"
_LISTS_OF_FUNCTIONS = (_TEXT, _NUMBERS, _TIMES, _AGGREGATES, _WINDOWS, _CHOICES, _JSON, _LISTS, _BITS, _ABOUT, _TYPES, _WORDS)
_FUNCTIONS = frozenset(" ".join(_LISTS_OF_FUNCTIONS).split())

_SYNTAX = """
    Aliases AtTimeZone Bracket Comprehension Cube Dot Escape Fetch GroupingSets IgnoreNulls Interval JSONPathKey
    JSONPathRoot Lambda Lateral LimitOptions National Paren PropertyEQ Qualify RawString RespectNulls Rollup Slice UnicodeString
    Unnest WithinGroup
"""
# Words that begin another statement. An engine that needs no semicolon between two takes for one what looks like an alias.
_STATEMENTS = """
    alter analyze attach backup begin break bulk call checkpoint close commit copy create dbcc deallocate declare delete deny
    detach do drop exec execute export go goto grant import insert install into kill load lock merge open pragma print
    raiserror readtext reconfigure refresh rename reset restore return revert revoke rollback save set setuser shutdown
    truncate unload update updatetext use vacuum waitfor while writetext
"""
STATEMENT_WORDS = frozenset(_STATEMENTS.split())
WITHOUT_SEMICOLONS = frozenset({"fabric", "tsql"})
"""Dialects, by their names in sqlglot, in which a statement may follow another without anything between them."""

TABLE_FUNCTIONS = frozenset({"Explode", "GenerateSeries", "Unnest"})
"""What may stand in FROM beside relations, by class name in sqlglot: it makes rows of its arguments alone."""
WITHOUT_RECURSIVE = frozenset({"fabric", "oracle", "tsql"})
"""Dialects, by their names in sqlglot, in which a common table expression may read itself without being called recursive."""

_WEAK = (
    "generic rules only: listed functions, known relations, always rolled back. Only this account's rights keep functions "
    "that somebody made here from more than reading, and a query past its time ends in the engine once that notices"
)


@dataclass(frozen=True)
class Engine:
    """One engine, by the name of its SQLAlchemy dialect."""

    name: str
    parser: str | None
    """The dialect's name in sqlglot; without one no statement can be judged."""
    connect: Mapping[str, object] = field(default_factory=dict[str, object])
    """Arguments for its driver."""
    session: tuple[str, ...] = ()
    """Statements for a new connection."""
    begin: tuple[str, ...] = ()
    """Statements that begin a transaction."""
    native: frozenset[str] = frozenset()
    """The types whose values the driver gives exactly; the engine writes all others as text. Empty: the driver is trusted."""
    explains: bool = False
    """Whether it gives plans as DuckDB does."""
    is_file: bool = False
    """Whether the database is a file that this machine's process reads, and that nothing may write."""
    reserved_mib: int = 0
    """Address space that it takes without using it."""
    joined_first: bool = True
    """Whether `SELECT *` shows the columns of USING before all others."""
    weaker: str = _WEAK

    @property
    def rules(self) -> Rules:
        nodes, words = frozenset(_SYNTAX.split()), ((),)
        return Rules(dialect=self.parser or "", functions=_FUNCTIONS, nodes=nodes, explain_words=words)


_PARSERS = {
    "awsathena": "athena",
    "clickhousedb": "clickhouse",
    "cockroachdb": "postgres",
    "crate": "postgres",
    "exa": "exasol",
    "firebolt": None,
    "ibmi": None,
    "impala": "hive",
    "mssql": "tsql",
    "netezza": "postgres",
    "singlestoredb": "singlestore",
    "spark": "spark",
    "teradatasql": "teradata",
    "vertica": "postgres",
    "yugabytedb": "postgres",
}
_SAME = """
    athena bigquery clickhouse databricks doris dremio drill druid duckdb exasol fabric hive oracle presto redshift snowflake
    sqlite starrocks teradata trino
"""
_SAME_NAME = frozenset(_SAME.split())

_DUCKDB_TYPES = """
    BOOLEAN TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT FLOAT DOUBLE DECIMAL VARCHAR
    BLOB
"""
_ORACLE = Engine("oracle", "oracle", begin=("SET TRANSACTION READ ONLY",))
_DUCKDB = Engine(
    "duckdb",
    "duckdb",
    connect={
        "read_only": True,
        "config": {
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "allow_persistent_secrets": "false",
            "python_enable_replacements": "false",
            "temp_directory": "",
            "threads": "2",
        },
    },
    session=("SET TimeZone = 'UTC'", "SET lock_configuration = true"),
    native=frozenset(_DUCKDB_TYPES.split()),
    explains=True,
    is_file=True,
    reserved_mib=1_024,
    joined_first=False,
    weaker=(
        "generic rules: listed functions and known relations; opened read-only, without files, network or settings. "
        "No index advice, no query statistics, few health checks"
    ),
)
_KNOWN = {engine.name: engine for engine in (_ORACLE, _DUCKDB)}


def engine_of(name: str) -> Engine:
    """What is known of the engine whose SQLAlchemy dialect is called *name*."""
    if name in _KNOWN:
        return _KNOWN[name]
    parser = _PARSERS.get(name, name if name in _SAME_NAME else None)
    if parser is None:
        return Engine(name, None, weaker="no parser for its dialect: relations are listed and described, queries are refused")
    return Engine(name, parser)
