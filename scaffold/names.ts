import { Fault } from '#local/fault.ts';

const wellFormed = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
/** Kubernetes allows 63 characters, including the longest suffix of our objects. */
const longest = 40;

/** Reserved words of SQL and TypeScript, which cannot name a table or a constant. */
const words = new Set(
  `all analyse analyze and any array as asc async await both break case cast catch check class collate column const
  constraint continue create debugger default delete desc distinct do else end enum except export extends false fetch
  finally for foreign from function grant group having if import in initially instanceof interface intersect into
  lateral leading let limit localtime new not null offset on only or order package placing primary private protected
  public references return returning select session-user some static super switch symmetric table then this throw to
  trailing true try typeof union unique user using var variadic void when where while window with yield`.split(/\s+/),
);

/** Names that folders or objects in the cluster already have, beside the declared services. */
const taken = new Set(['contracts', 'kafka', 'mail-catcher', 'millrace', 'network', 'postgresql']);

/** Types that a service's files use, beside that of its own entity. */
const types = new Set(
  `Array Boolean Buffer Date Error EventData Handlers Health HttpService Id Map Number Object Page PathId Pool PoolClient
  Promise ReceivedEvent Set Static String Symbol TestDatabase Time Type`.split(/\s+/),
);

/**
 * Refuses a name that is invalid in Kubernetes, PostgreSQL or TypeScript.
 * @param what the kind of thing to name, such as `service`
 */
export function assertName(name: string, what: string): void {
  if (!wellFormed.test(name))
    throw new Fault(`"${name}" is not a valid name of a ${what}: use lower-case letters, digits and single hyphens.`);
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
