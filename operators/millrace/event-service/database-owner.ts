import { hash } from '#runtime/compare.ts';
import { databaseNameOf, markStatements } from '#platform/postgres';
import type { Marks } from '#platform/postgres';

/** Whose a database is: the comment on it in PostgreSQL says so. */
export interface DatabaseOwner {
  namespace: string;
  /** of the namespace: a cluster of the same server may have one of the same name; undefined where it cannot be read */
  uid?: string | undefined;
  service: string;
  /** as the service declares it */
  database: string;
}

/** What PostgreSQL keeps of a name, in bytes; it would cut a longer one silently. */
const longest = 63;

/** The name of a new database and of its role. @param pattern as in `spec.postgresql.databaseName` */
export function newDatabaseName(pattern: string, namespace: string, database: string): string {
  const full = databaseNameOf(pattern.replaceAll('{namespace}', namespace).replaceAll('{name}', database));
  if (full.length <= longest) return full;
  return `${full.slice(0, longest - 9)}_${hash([namespace, database]).slice(0, 8)}`;
}

/** Whether several namespaces may have databases on the server. */
export const isSharedServer = (pattern: string): boolean => pattern.includes('{namespace}');

/** PostgreSQL's own, and the role that CloudNativePG replicates with. */
const reservedNames = /^(postgres|template[01]|public|none|streaming_replica|pg_.*)$/;

/** Why no database may have the name, as a sentence. @param admin the role that creates databases */
export function reservedReason(name: string, admin: string): string | undefined {
  if (name === admin) return `${name} is the role that creates the databases: choose another name in spec.databases`;
  if (reservedNames.test(name)) return `PostgreSQL reserves the name ${name}: choose another one in spec.databases`;
  return undefined;
}

export function markOf({ namespace, uid, service, database }: DatabaseOwner): string {
  return JSON.stringify({ 'millrace.dev': { namespace, ...(uid === undefined ? {} : { uid }), service, database } });
}

function ownerIn(mark: string): DatabaseOwner | undefined {
  try {
    return (JSON.parse(mark) as Record<string, DatabaseOwner> | null)?.['millrace.dev'];
  } catch {
    return undefined; // somebody else's comment
  }
}

/**
 * Why a database is another's, as a sentence that says how to hand it over. Undefined where it is the owner's, or where neither
 * it nor its role exists.
 * @param isKnown whether a Secret of the owner names it: before there were marks, only the Secret said whose it is
 */
export function takenReason(
  name: string,
  marks: Marks,
  owner: DatabaseOwner,
  { isKnown }: { isKnown: boolean },
): string | undefined {
  const [what, mark] =
    marks.database === undefined ? (['role', marks.role] as const) : (['database', marks.database] as const);
  if (mark === undefined) return undefined;
  const other = mark === null ? undefined : ownerIn(mark);
  if (other === undefined && isKnown) return undefined;
  if (other !== undefined && isSame(other, owner)) return undefined;
  const whose =
    other === undefined
      ? `exists in PostgreSQL, and Millrace has not made it`
      : `belongs to the service ${other.service} of ${placeOf(other, owner)}`;
  const statements = markStatements(name, markOf(owner)).join('; ');
  return `the ${what} ${name} ${whose}: choose another name in spec.databases, or hand it over with: ${statements}`;
}

function isSame(other: DatabaseOwner, owner: DatabaseOwner): boolean {
  const { namespace, uid, service, database } = other;
  if (namespace !== owner.namespace || service !== owner.service || database !== owner.database) return false;
  return uid === undefined || owner.uid === undefined || uid === owner.uid;
}

function placeOf({ namespace, uid }: DatabaseOwner, owner: DatabaseOwner): string {
  const isOtherOfTheName =
    namespace === owner.namespace && uid !== undefined && owner.uid !== undefined && uid !== owner.uid;
  return isOtherOfTheName ? `another namespace ${namespace} (uid ${uid})` : `the namespace ${namespace}`;
}
