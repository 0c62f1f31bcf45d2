import { Fault } from '#local/fault.ts';

const wellFormed = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
/** Kubernetes allows 63 characters, including the longest suffix of our objects. */
const longest = 40;

/** Reserved words of SQL and TypeScript, which cannot name a table or a constant. */
const words = new Set(
  `all analyse analyze and any arguments array as asc async asymmetric authorization await binary both break case cast
  catch check class collate collation column concurrently const constraint continue create cross current-catalog
  current-date current-role current-schema current-time current-timestamp current-user debugger default deferrable delete
  desc distinct do else end enum eval except export extends false fetch finally for foreign freeze from full function grant
  group having if ilike implements import in initially inner instanceof interface intersect into is isnull join lateral
  leading left let like limit localtime localtimestamp natural new not notnull null offset on only or order outer overlaps
  package placing primary private protected public references return returning right select session-user similar some static
  super switch symmetric system-user table tablesample then this throw to trailing true try typeof undefined union unique
  user using var variadic verbose void when where while window with yield`.split(/\s+/),
);

/** Names that a service's files give to their own constants, functions and parameters, beside the constant of its contract. */
const ownNames = new Set(
  `after assert before collect-contracts config config-schema consumer-part consumption consumption-of contract-decoder create-handlers create-http
  create-kafka create-logger create-pool create-test-database created-at data database decode-event default-limit
  define-contract describe handlers health http id inbox inject it kafka-connection load-config log name next-page
  not-found origin page-headers part ping pool port post present project read-outbox relay run-service service store wake-relay
  wakes`.split(/\s+/),
);

/** Names that folders or objects in the cluster already have, beside the declared services. */
const taken = new Set(['contracts', 'kafka', 'mail-catcher', 'millrace', 'network', 'postgresql']);

/** Types that a service's files use, beside that of its own entity. */
const types = new Set(
  `Array Boolean Buffer Date Error EventData EventTime Handlers Health HttpService Id LatestEvent Map Number Object Page PathId Pool PoolClient
  Promise ReceivedEvent Set Static String Symbol TestDatabase Text Time Type`.split(/\s+/),
);

/**
 * Refuses a name that is invalid in Kubernetes, PostgreSQL or TypeScript.
 * @param what the kind of thing to name, such as `service`
 */
export function assertName(name: string, what: string): void {
  if (!wellFormed.test(name))
    throw new Fault(
      `"${name}" is not a valid name of a ${what}. Begin with a letter, and use lower-case letters, digits and single hyphens.`,
    );
  if (name.length > longest) throw new Fault(`"${name}" is longer than ${longest} characters.`);
}

/** The names in a service's files, by the placeholder of the templates. */
export interface ServiceNames {
  /** `stock-levels`: folder, database, path, consumer group */
  name: string;
  /** `stockLevels`: its contract */
  camel: string;
  /** `StockLevels` */
  Pascal: string;
  /** `stock_levels` */
  table: string;
  /** `stock-level`: event types */
  entity: string;
  /** `stockLevel` */
  entityCamel: string;
  /** `StockLevel` */
  Entity: string;
}

/** @throws Fault if the name is taken or reserved */
export function serviceNames(name: string): ServiceNames {
  assertName(name, 'service');
  if (taken.has(name)) throw new Fault(`The name ${name} is taken by a part of the platform: choose another name.`);
  const entity = singular(name);
  const Entity = pascal(entity);
  if (words.has(name) || types.has(Entity))
    throw new Fault(`"${name}" is a word of SQL or TypeScript, or a type of the platform: choose another name.`);
  if (ownNames.has(name))
    throw new Fault(`The files of each service use the name "${name}" themselves: choose another name.`);
  return {
    name,
    camel: camel(name),
    Pascal: pascal(name),
    table: name.replaceAll('-', '_'),
    entity,
    entityCamel: camel(entity),
    Entity,
  };
}

/** `booking` of `bookings`; an irregular plural does not change. */
function singular(name: string): string {
  if (/(ss|us|is)$/.test(name) || name.length <= 3) return name;
  if (name.endsWith('ies')) return name.replace(/ies$/, 'y');
  return /(ss|x|ch|sh)es$/.test(name) ? name.slice(0, -2) : name.replace(/s$/, '');
}

/** `stock-level` as `StockLevel`. */
export function pascal(name: string): string {
  return name.replaceAll(/(?:^|[-.])([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** `stock-level` as `stockLevel`. */
export function camel(name: string): string {
  return name.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
