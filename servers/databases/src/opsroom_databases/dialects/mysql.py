"""MariaDB and MySQL: which functions, reports and words a read-only query may use."""

import re

_STRINGS = """
    ascii bin binary bit_length char char_length character_length charset chr coercibility collation concat concat_ws elt
    export_set field find_in_set format from_base64 hex insert instr lcase left length lengthb locate lower lpad ltrim make_set
    mid natural_sort_key oct octet_length ord position quote regexp_instr regexp_like regexp_replace regexp_substr repeat
    replace reverse right rpad rtrim sformat soundex space strcmp substr substring substring_index to_base64 trim ucase unhex
    upper weight_string
    """
_NUMBERS = """
    abs acos asin atan atan2 bit_count ceil ceiling conv cos cot crc32 crc32c degrees exp floor ln log log10 log2 mod pi pow
    power radians rand round sign sin sqrt tan truncate
    """
_TIMES = """
    add_months adddate addtime convert_tz curdate current_date current_time current_timestamp curtime date date_add date_format
    date_sub datediff day dayname dayofmonth dayofweek dayofyear extract from_days from_unixtime get_format hour last_day
    localtime localtimestamp makedate maketime microsecond minute month monthname now period_add period_diff quarter
    sec_to_time second str_to_date subdate subtime sysdate time time_format time_to_sec timediff timestamp timestampadd
    timestampdiff to_char to_days to_seconds unix_timestamp utc_date utc_time utc_timestamp week weekday weekofyear year
    yearweek
    """
_CHOICES = "coalesce decode decode_oracle default greatest if ifnull interval isnull least nullif nvl nvl2 value values"
_AGGREGATES = """
    any_value avg bit_and bit_or bit_xor count group_concat grouping json_arrayagg json_objectagg max median min
    percentile_cont percentile_disc std stddev stddev_pop stddev_samp sum var_pop var_samp variance
    """
_WINDOWS = "cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number"
_JSON = """
    json_array json_array_append json_array_insert json_compact json_contains json_contains_path json_depth json_detailed
    json_equals json_exists json_extract json_insert json_keys json_length json_loose json_merge json_merge_patch
    json_merge_preserve json_normalize json_object json_overlaps json_pretty json_query json_quote json_remove json_replace
    json_schema_valid json_schema_validation_report json_search json_set json_storage_free json_storage_size json_table
    json_type json_unquote json_valid json_value
    """
_DYNAMIC_COLUMNS = "column_add column_check column_create column_delete column_exists column_get column_json column_list"
_HASHES = """
    aes_decrypt aes_encrypt compress encode encrypt kdf md5 old_password password random_bytes sha sha1 sha2 uncompress
    uncompressed_length
    """
_XML = "extractvalue updatexml"
_ADDRESSES = """
    bin_to_uuid inet6_aton inet6_ntoa inet_aton inet_ntoa is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6 is_uuid sys_guid uuid
    uuid_short uuid_to_bin uuid_v4 uuid_v7
    """
_GEOMETRY = """
    area asbinary astext aswkb aswkt boundary buffer centroid contains convexhull crosses dimension disjoint endpoint envelope
    equals exteriorring geomcollfromtext geometrycollection geometryfromtext geometryn geometrytype geomfromtext geomfromwkb
    glength interiorringn intersects isclosed isempty isring issimple linestring linefromtext mbrcontains mbrcoveredby
    mbrcovers mbrdisjoint mbrequal mbrequals mbrintersects mbroverlaps mbrtouches mbrwithin mlinefromtext mpointfromtext
    mpolyfromtext multilinestring multipoint multipolygon numgeometries numinteriorrings numpoints overlaps point
    pointfromtext pointn pointonsurface polyfromtext polygon polygonfromtext srid st_area st_asbinary st_asgeojson st_astext
    st_aswkb st_aswkt st_boundary st_buffer st_buffer_strategy st_centroid st_contains st_convexhull st_crosses st_difference
    st_dimension st_disjoint st_distance st_distance_sphere st_endpoint st_envelope st_equals st_exteriorring
    st_frechetdistance st_geohash st_geomcollfromtext st_geometryn st_geometrytype st_geomfromgeojson st_geomfromtext
    st_geomfromwkb st_hausdorffdistance st_interiorringn st_intersection st_intersects st_isclosed st_isempty st_isring
    st_issimple st_isvalid st_latfromgeohash st_latitude st_length st_lineinterpolatepoint st_linefromtext
    st_linestringfromtext st_longfromgeohash st_longitude st_makeenvelope st_mlinefromtext st_mpointfromtext
    st_mpolyfromtext st_numgeometries st_numinteriorrings st_numpoints st_overlaps st_point st_pointfromgeohash
    st_pointfromtext st_pointn st_pointonsurface st_polyfromtext st_polygonfromtext st_relate st_simplify st_srid
    st_startpoint st_swapxy st_symdifference st_touches st_transform st_union st_validate st_within st_x st_y startpoint
    touches within x y
    """
_VECTORS = """
    vec_distance vec_distance_cosine vec_distance_euclidean vec_fromtext vec_totext distance string_to_vector
    vector_dim vector_to_string
    """
# What they tell is of the session or the engine, and none of them changes it: without an argument that it sets,
# LAST_INSERT_ID reports, and with one it sets what ends with the call.
_REPORTS = """
    binlog_gtid_pos connection_id current_role current_user database decode_histogram format_bytes format_pico_time found_rows
    gtid_subset gtid_subtract icu_version is_free_lock is_used_lock last_insert_id lastval name_const
    ps_current_thread_id ps_thread_id row_count schema session_user statement_digest statement_digest_text system_user user
    version
    """

FUNCTIONS = frozenset(
    f"{_STRINGS} {_NUMBERS} {_TIMES} {_CHOICES} {_AGGREGATES} {_WINDOWS} {_JSON} {_DYNAMIC_COLUMNS} {_HASHES} {_XML} "
    f"{_ADDRESSES} {_GEOMETRY} {_VECTORS} {_REPORTS}".split()
)
"""Built-in functions that compute or report; every other one is looked up, and refused unless a user wrote it."""
_ONLY_IN_MARIADB = """
    add_months binlog_gtid_pos chr crc32c decode decode_histogram decode_oracle encode encrypt json_compact json_detailed
    json_equals json_exists json_loose json_normalize json_query kdf lastval lengthb median natural_sort_key nvl nvl2 oct
    old_password password percentile_cont percentile_disc sformat sys_guid to_char uuid_v4 uuid_v7
    """
_ONLY_IN_MYSQL = """
    any_value bin_to_uuid distance format_bytes format_pico_time grouping gtid_subset gtid_subtract icu_version is_uuid
    json_schema_valid json_schema_validation_report json_storage_free json_storage_size json_table ps_current_thread_id
    ps_thread_id regexp_like statement_digest statement_digest_text string_to_vector uuid_to_bin
    """
NOT_EVERYWHERE = frozenset(f"{_ONLY_IN_MARIADB} {_ONLY_IN_MYSQL} {_DYNAMIC_COLUMNS} {_GEOMETRY} {_VECTORS}".split())
"""Functions that an engine may lack, so that a user's own may have the name: it is looked up, and counts where it is found."""

_SYNTAX = """
    against all and any as between bigint binary by case cast char collate columns convert cross cycle date datetime decimal
    dec distinct distinctrow div double else escape except exists fetch float from full group having in index int integer
    intersect interval is join key lateral left like limit match mediumint member mod national natural nchar nested not null
    numeric nvarchar of offset on or order outer over partition path real regexp right rlike rollup row select signed smallint
    some straight_join then time timestamp tinyint union unsigned use using values varbinary varchar when where window with
    within xor year
    """
SYNTAX = frozenset(_SYNTAX.split())
"""Words that a parenthesis may follow without a call being made; some are functions too, and all of those are harmless."""
_NOT_RESERVED = """
    against any cast columns cycle date datetime escape full lateral member national nchar nested nvarchar of path rollup row
    signed some time timestamp window within year
    """
MAY_BE_NAMES = frozenset(_NOT_RESERVED.split())
"""Those of SYNTAX that could also be the name of a user's function."""

# Every one of these is reserved: without quotes it cannot be a name, so no query that only reads has it.
_NO_READS = """
    alter call delete drop grant infile into kill load lock optimize outfile procedure purge release rename resignal revoke
    signal trigger unlock update write
    """
NO_READS = frozenset(_NO_READS.split())
ONLY_FUNCTIONS = frozenset({"insert", "replace"})
"""Reserved words that begin a write, or name a function where a parenthesis follows."""
_FOREIGN = """
    call delete drop dumpfile execute flush global handler infile insert kill load lock nextval outfile persist prepare purge
    rename replace reset setval truncate update
    """
FOREIGN_BODY_WORDS = frozenset(_FOREIGN.split())
"""Words in the body of a stored function that reach beyond reading, or beyond what a read-only transaction holds."""
_COMPOUND = "declare do elseif iterate leave loop repeat return returns set until while"
BODY_SYNTAX = frozenset(_COMPOUND.split())
"""Words of compound statements, which a parenthesis may follow."""

_OUTERMOST = "high_priority sql_big_result sql_buffer_result sql_cache sql_calc_found_rows sql_no_cache sql_small_result"
MODIFIERS = frozenset(_OUTERMOST.split())
"""Words behind SELECT that may stand in the outermost query only."""

_SHOWS = """
    all replicas status
    all slaves status
    binary logs
    binlog status
    character set
    charset
    client_statistics
    collation
    columns
    count
    create database
    create event
    create function
    create package
    create package body
    create procedure
    create schema
    create sequence
    create table
    create trigger
    create view
    databases
    engine
    engines
    errors
    events
    extended columns
    extended fields
    extended full columns
    extended full tables
    extended index
    extended indexes
    extended keys
    extended tables
    fields
    full columns
    full fields
    full processlist
    full tables
    function status
    global status
    global variables
    index
    index_statistics
    indexes
    keys
    local status
    local variables
    locales
    master logs
    master status
    open tables
    package body status
    package status
    plugins
    privileges
    procedure status
    processlist
    profile
    profiles
    replica status
    schemas
    session status
    session variables
    slave status
    status
    storage engines
    table status
    table types
    table_statistics
    tables
    triggers
    variables
    warnings
    """
SHOWS = tuple(sorted((tuple(line.split()) for line in _SHOWS.strip().splitlines()), key=len, reverse=True))
"""Reports that SHOW may give, the longer first. Not among them: what prints accounts, password hashes or binary logs."""

DENIED_SCHEMA = "mysql"
"""It holds the accounts with their password hashes."""
DENIED_REPORTS = {
    "information_schema": re.compile(r"user_attributes|innodb_cmp\w*_reset", re.IGNORECASE),
    "performance_schema": re.compile(r"user_variables_by_thread|keyring_\w+|accounts?_failed_login.*", re.IGNORECASE),
}
"""Tables of the engine's own that show what other sessions or accounts hold, or that reading sets to zero."""
