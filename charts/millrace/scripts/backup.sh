# Backs the bundled PostgreSQL up, or restores one database of a backup: docs/disaster.md. It runs in the image of PostgreSQL, with
# the PG variables of the superuser.
#   KEEP              how many backups are kept
#   RESTORE_DATABASE  the database to restore; empty to back up
#   RESTORE_BACKUP    the backup, a folder of /backups; empty for the newest one
set -euo pipefail
umask 077

query() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --dbname "${1:-postgres}"; }

# A cluster may enforce the policies of a new pod some seconds after its start, and refuse its connections until then.
wait_for_server() {
  local attempt
  for attempt in {1..60}; do
    if query <<< 'SELECT 1' > /dev/null 2>&1; then return; fi
    sleep 1
  done
  query <<< 'SELECT 1'
}

back_up() {
  local target part databases database reads
  target=/backups/$(date --utc +%Y-%m-%dT%H%M%SZ)
  part=$target.part
  rm --recursive --force /backups/*.part
  mkdir "$part"
  pg_dumpall --roles-only > "$part/roles.sql"
  # A database of a consumer comes before those whose events it reads: restored, it then knows nothing that they do not know.
  databases=$(query <<< "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'" |
    while read -r database; do
      reads=$(query "$database" <<< 'SELECT 0 FROM millrace.inbox_offsets LIMIT 1' 2> /dev/null || true)
      echo "${reads:-1} $database"
    done | sort | cut --delimiter ' ' --fields 2-)
  for database in $databases; do
    pg_dump --format=custom --file="$part/$database.dump" --dbname="$database"
    pg_restore --list "$part/$database.dump" > /dev/null
    echo "$database: $(stat --format=%s "$part/$database.dump") bytes"
  done
  sync
  mv "$part" "$target"
  echo "$target is complete"
  ls --directory /backups/????-??-??T*Z | sort | head --lines="-$KEEP" | xargs --no-run-if-empty rm --recursive
}

# The database of before stays, as <name>_before_<time>; the new one takes its place when it is complete.
restore() {
  local database=$RESTORE_DATABASE from now restored before
  from=/backups/${RESTORE_BACKUP:-$(ls /backups | grep 'Z$' | sort | tail --lines=1)}
  [[ $database =~ ^[a-z][a-z0-9_]*$ && -f $from/$database.dump ]] || { echo "$from/$database.dump is not there" >&2; exit 2; }
  now=$(date --utc +%Y%m%d%H%M%S)
  restored=${database}_restored_$now before=${database}_before_$now
  owner=$(query <<< "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '$database'")
  [[ -n $owner ]] || { echo "there is no database $database: let the operator make it first" >&2; exit 2; }
  createdb --maintenance-db=postgres --template=template0 --owner="$owner" "$restored"
  pg_restore --exit-on-error --no-owner --no-privileges --role="$owner" --dbname="$restored" "$from/$database.dump"
  # whose it is: the operator touches no other
  query <<< "SELECT format('COMMENT ON DATABASE %I IS %L', '$restored', shobj_description(oid, 'pg_database'))
    FROM pg_database WHERE datname = '$database'" | query
  query << SQL
REVOKE CONNECT, TEMPORARY ON DATABASE "$restored" FROM PUBLIC;
ALTER DATABASE "$database" ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$database';
ALTER DATABASE "$database" RENAME TO "$before";
ALTER DATABASE "$restored" RENAME TO "$database";
ALTER DATABASE "$before" ALLOW_CONNECTIONS true;
SQL
  echo "$database is that of $from; $before is that of before"
}

wait_for_server
if [[ -n ${RESTORE_DATABASE:-} ]]; then restore; else back_up; fi
