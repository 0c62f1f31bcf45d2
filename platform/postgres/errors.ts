import { PlatformError } from '#platform/errors';

/** Thrown by work that cannot be done now, for a transient reason. */
export class Unavailable extends PlatformError {
  override name = 'Unavailable';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_UNAVAILABLE', message, options);
  }
}

/** The fields of the errors that come from PostgreSQL, pg, Prisma and Node. */
interface ErrorLink {
  name?: unknown;
  message?: unknown;
  code?: unknown;
  syscall?: unknown;
  cause?: unknown;
  /** of PostgreSQL's own errors */
  severity?: unknown;
  /** of a Prisma error: the error of its PostgreSQL adapter */
  meta?: { driverAdapterError?: unknown };
  /** of the adapter's description of an error: PostgreSQL's code and message */
  originalCode?: unknown;
  originalMessage?: unknown;
  kind?: unknown;
}

/**
 * `work`: the work is at fault, and fails each time. `away`: the database cannot do it now, and has not. `lost`: the connection
 * was lost or silent after the statement may have reached the database.
 */
type Fault = 'work' | 'away' | 'lost';

const undone = new WeakSet<object>();
const ofConnecting = new WeakSet<object>();
const ofUnknownOutcome = new WeakSet<object>();

/** Marks an error whose work is known to be undone: no outcome is unknown after it. @returns the error */
export function markUndone<T>(error: T): T {
  return addTo(undone, error);
}

/** Marks the error of an attempt to connect: whatever it says, the database is unavailable, and nothing is done. @returns the error */
export function markConnecting<T>(error: T): T {
  return addTo(ofConnecting, error);
}

/** Marks an error after which nobody knows whether its work took effect, whatever it says. @returns the error */
export function markOutcomeUnknown<T>(error: T): T {
  return addTo(ofUnknownOutcome, error);
}

function addTo<T>(set: WeakSet<object>, error: T): T {
  if (typeof error === 'object' && error !== null) set.add(error);
  return error;
}

/** Whether PostgreSQL refuses the password. */
export function isWrongPassword(error: unknown): boolean {
  return (error as { code?: string }).code === '28P01';
}

/**
 * Whether no server answers, or one that starts, stops or has no room: later it will, without anybody's help. A database that refuses the
 * login or the certificate has answered.
 */
export function isUnreachable(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (typeof code === 'string' && code !== '') return networkCodes.has(code) || unreachableStates.test(code);
  return typeof message === 'string' && (lostMessages.test(message) || awayMessages.test(message));
}

/** Node's codes of a network or a name server that does not carry the question: those of files are nobody's silence. */
const networkCodes = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/**
 * Connection exceptions, insufficient resources and operator intervention, as SQLSTATEs. A protocol violation is an answer: some poolers
 * refuse a login with it.
 */
const unreachableStates = /^(?!08P01$)(08|53|57)[0-9A-Z]{3}$/;

/**
 * Whether an error says that the database cannot be used now, so that the same work can succeed later and waits. This is closed
 * from the other side: the work is at fault only if PostgreSQL says so of its data (`dataClasses`), or if the error does
 * not come from the database at all. All else waits: a lock, a timeout, a password, a full disk, a lost connection, an
 * unknown code. A missing table or column (class 42) waits, too: the deployment lacks a migration, and the events are good.
 */
export function isUnavailable(error: unknown): boolean {
  return linksOf(error).some((link) => faultOf(link) !== 'work');
}

/**
 * Whether PostgreSQL itself says of the data of a statement that they cannot be stored: nothing of it is done, and these data fail each
 * time. An error without an SQLSTATE says nothing of that kind.
 */
export function isOfData(error: unknown): boolean {
  return linksOf(error).some((link) => answerIn(link) && faultOf(link) === 'work');
}

/** What PostgreSQL has answered. */
export interface Answer {
  /** an SQLSTATE */
  state: string;
  /** whether it ends the session */
  isFatal: boolean;
}

/** What PostgreSQL has answered; undefined where it has not. */
export function answerOf(error: unknown): Answer | undefined {
  for (const link of linksOf(error)) {
    const answer = answerIn(link);
    if (answer) return answer;
  }
  return undefined;
}

/** Some codes of Node have the form of an SQLSTATE, but no severity. */
function answerIn({ code, severity, originalCode }: ErrorLink): Answer | undefined {
  const state = originalCode ?? (typeof severity === 'string' ? code : undefined);
  return typeof state === 'string' && sqlState.test(state) ? { state, isFatal: severity === 'FATAL' } : undefined;
}

/** Whether the work of a failed statement or COMMIT may have been committed: nothing answered after it was sent. */
export function isOutcomeUnknown(error: unknown): boolean {
  const links = linksOf(error);
  return links.some((link) => faultOf(link) === 'lost') && !links.some((link) => undone.has(link));
}

/** The error and its causes; the adapter of Prisma describes its cause by an object that is no error. */
function linksOf(error: unknown): ErrorLink[] {
  const links = new Set<ErrorLink>();
  const add = (link: unknown): void => {
    if (typeof link !== 'object' || link === null || links.has(link)) return;
    links.add(link);
    add((link as ErrorLink).meta?.driverAdapterError);
    add((link as ErrorLink).cause);
  };
  if (error instanceof Error) add(error);
  return [...links];
}

function faultOf(link: ErrorLink): Fault {
  if (ofUnknownOutcome.has(link)) return 'lost';
  if (link instanceof Unavailable || ofConnecting.has(link)) return 'away';
  const { code, originalCode, kind, message, name } = link;
  if (isOfServer(link)) return 'away';
  if (typeof originalCode === 'string') return faultOfState(originalCode);
  if (typeof kind === 'string') return faultOfKind(kind);
  if (typeof code === 'string' && code !== '') return faultOfCode(code, link.syscall);
  if (typeof name === 'string' && prismaNames.test(name)) return 'away';
  if (typeof message !== 'string') return 'work';
  if (lostMessages.test(message)) return 'lost';
  return awayMessages.test(message) ? 'away' : 'work';
}

function faultOfCode(code: string, syscall: unknown): Fault {
  // EPIPE has the form of an SQLSTATE, and so has P1017: the codes of Node and Prisma come first
  if (connectCodes.has(code) || connectCalls.has(syscall)) return 'away';
  if (systemCode.test(code) || streamCode.test(code) || code === 'ERR_DATABASE_SILENT') return 'lost';
  if (/^P[1-9]\d{3}$/.test(code)) return faultOfPrismaCode(code);
  if (sqlState.test(code)) return faultOfState(code);
  return code.startsWith('ERR_') || code === 'ABORT_ERR' ? 'work' : 'away';
}

/** An SQLSTATE, and no code of Prisma. */
const sqlState = /^(?!P[1-9])[0-9A-Z]{5}$/;

// The classes of https://www.postgresql.org/docs/18/errcodes-appendix.html that speak of the data: cardinality, data
// exception, integrity constraint, WITH CHECK OPTION, program limit; P0001 is RAISE EXCEPTION.
const dataClasses = new Set(['21', '22', '23', '44', '54']);

const programLimit = '54000';
const sequenceLimit = '2200H';
/** PostgreSQL's sentences, which begin the same in each of its versions since 14: no ids of transactions are left, or a table is full. */
const serverLimits = /^database is not accepting commands|^multixact |^cannot extend relation /;

/** Whether PostgreSQL uses a code of the data for a limit that the server has reached with any data. */
function isOfServer({ code, originalCode = code, message, originalMessage = message }: ErrorLink): boolean {
  if (originalCode === sequenceLimit) return true;
  return originalCode === programLimit && typeof originalMessage === 'string' && serverLimits.test(originalMessage);
}

/**
 * @param state an SQLSTATE. Class 08 comes from poolers that lost the server, 57P02 from a server that crashes, 40003 from what stands before
 *   a server and cannot say whether the statement was completed
 */
function faultOfState(state: string): Fault {
  if (dataClasses.has(state.slice(0, 2)) || state === 'P0001') return 'work';
  return state.startsWith('08') || lostStates.has(state) ? 'lost' : 'away';
}

const lostStates = new Set(['57P02', '40003']);

/** Node's codes of a connection that was not made. */
const connectCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN']);
const connectCalls = new Set<unknown>(['connect', 'getaddrinfo']);
const systemCode = /^E(?!RR_)[A-Z0-9]+$/;
const streamCode = /^ERR_(SSL|TLS|STREAM|SOCKET)_/;

// pg has no codes for these. `lost` may be after a statement was sent; the others are before.
const lostMessages =
  /^Connection terminated|^Query read timeout$|^Received unexpected .* message from backend|^received invalid response: /;
const awayMessages =
  /^timeout exceeded when trying to connect$|^timeout expired$|is not queryable$|^Cannot use a pool after calling end/;

/** Errors of Prisma without a code. */
const prismaNames = /^PrismaClient(Initialization|RustPanic|UnknownRequest)Error$/;
/** P1xxx are errors of the connection; of P2xxx: no connection or transaction in time, a write conflict, too many connections. */
const prismaAway = /^P1|^P(2024|2028|2034|2037)$/;
const prismaLost = new Set(['P1008', 'P1017']);

function faultOfPrismaCode(code: string): Fault {
  if (prismaLost.has(code)) return 'lost';
  return prismaAway.test(code) ? 'away' : 'work';
}

/** @param kind the adapter's name for an error without an SQLSTATE */
function faultOfKind(kind: string): Fault {
  return kind === 'ConnectionClosed' || kind === 'SocketTimeout' ? 'lost' : 'away';
}
