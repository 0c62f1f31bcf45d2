# Backs the bundled PostgreSQL up, or restores one database of a backup: docs/disaster.md. It runs in the image of PostgreSQL, with
# the PG variables of the superuser.
#   KEEP              how many backups are kept
#   RESTORE_DATABASE  the database to restore; empty to back up
#   RESTORE_BACKUP    the backup, a folder of /backups; empty for the newest one
set -euo pipefail
umask 077

# the end of the name of a database that a restore has not completed, as a regular expression
unfinished='_restored_[0-9]{14}$'

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
  local target part closed databases database reads
  closed=$(query <<< "SELECT string_agg(datname, ', ') FROM pg_database WHERE NOT datallowconn AND NOT datistemplate")
  if [[ -n $closed ]]; then
    echo "A backup would lack $closed, which takes no connections: ALTER DATABASE ... ALLOW_CONNECTIONS true, or drop it" >&2
    exit 1
  fi
  target=/backups/$(date --utc +%Y-%m-%dT%H%M%SZ)
  part=$target.part
  rm --recursive --force /backups/*.part
  mkdir "$part"
  pg_dumpall --roles-only > "$part/roles.sql"
  # A database of a consumer comes before those whose events it reads: restored, it then knows nothing that they do not know.
  databases=$(query <<< "SELECT datname FROM pg_database
      WHERE NOT datistemplate AND datname <> 'postgres' AND datname !~ '$unfinished'" |
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
  mv --no-target-directory "$part" "$target"
  echo "$target is complete"
  ls --directory /backups/????-??-??T*Z | sort | head --lines="-$KEEP" | xargs --no-run-if-empty rm --recursive
}

# The database of before stays, as <name>_before_<time>; the new one takes its place when it is complete.
restore() {
  local database=$RESTORE_DATABASE from now restored before owner left
  from=/backups/${RESTORE_BACKUP:-$(ls /backups | grep 'Z$' | sort | tail --lines=1 || true)}
  [[ $database =~ ^[a-z][a-z0-9_]*$ && -f $from/$database.dump ]] || { echo "$from/$database.dump is not there" >&2; exit 2; }
  now=$(date --utc +%Y%m%d%H%M%S)
  restored=${database}_restored_$now before=${database}_before_$now
  owner=$(query <<< "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '$database'")
  [[ -n $owner ]] || { echo "there is no database $database: let the operator make it first" >&2; exit 2; }
  for left in $(query <<< "SELECT datname FROM pg_database WHERE datname ~ '^$database$unfinished'"); do
    dropdb --maintenance-db=postgres --force "$left"
  done
  createdb --maintenance-db=postgres --template=template0 --owner="$owner" "$restored"
  pg_restore --exit-on-error --no-owner --no-privileges --role="$owner" --dbname="$restored" "$from/$database.dump"
  query <<< "REVOKE CONNECT, TEMPORARY ON DATABASE \"$restored\" FROM PUBLIC"
  # whose it is: the operator touches no other
  query <<< "SELECT format('COMMENT ON DATABASE %I IS %L', '$restored', shobj_description(oid, 'pg_database'))
    FROM pg_database WHERE datname = '$database'" | query
  replace "$database" "$restored" "$before"
  echo "$database is that of $from; $before is that of before"
}

# Renames a database and gives its name to another one, both or neither: whatever ends this leaves the name with an open database.
# The lock is the one under which the operator makes what is missing (rolesLock of platform/postgres/database-roles.ts).
replace() {
  local database=$1 restored=$2 before=$3 renaming
  query > /dev/null << SQL &
SELECT pg_advisory_lock(7226530147);
BEGIN;
ALTER DATABASE "$database" RENAME TO "$before";
ALTER DATABASE "$restored" RENAME TO "$database";
COMMIT;
SQL
  renaming=$!
  # A database that is being renamed takes no new connections until the end. Within five seconds, those that it has must be gone.
  while kill -0 "$renaming" 2> /dev/null; do
    query > /dev/null << SQL
SELECT pg_terminate_backend(activity.pid) FROM pg_stat_activity activity
JOIN pg_locks ON locktype = 'object' AND classid = 'pg_database'::regclass AND objid = datid AND mode = 'AccessExclusiveLock' AND granted
WHERE datname IN ('$database', '$restored')
SQL
    sleep 0.2
  done
  wait "$renaming"
}

wait_for_server
if [[ -n ${RESTORE_DATABASE:-} ]]; then restore; else back_up; fi
