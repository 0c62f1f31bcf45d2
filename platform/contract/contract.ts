import type { Static, TSchema } from 'typebox';
import { PlatformError } from '#platform/errors';
import type { Operation, OperationSpec } from './operation.ts';

/** A kind of event, as its service declares it. The key of its messages is the id of the aggregate, in decimal. */
interface EventTypeDeclaration {
  summary: string;
  /** the topics of the event */
  topics: readonly string[];
  /** the schema of its data */
  schema: TSchema;
}

export interface EventType extends EventTypeDeclaration {
  /** the CloudEvents source of its events, where its service has published them */
  source: string;
}

/** Kinds of events, by their CloudEvents type. */
export type EventTypes = Readonly<Record<string, EventType>>;
type EventTypeDeclarations = Readonly<Record<string, EventTypeDeclaration>>;

/** The interface of a service: its events and its HTTP operations. */
export interface Contract {
  name: string;
  /** the prefixes of public paths before the service's own */
  prefixes: readonly string[];
  /** the role that its operations need where authentication is on; default: none */
  role?: string;
  events: EventTypes;
  operations: Readonly<Record<string, Operation>>;
  /** the schemas that documents refer to by name */
  schemas: Readonly<Record<string, TSchema>>;
}

/** A contract as its service declares it. */
export interface ContractDeclaration<E extends EventTypeDeclarations, O extends Record<string, OperationSpec>> {
  events?: E;
  /** by id; ids are unique among all services */
  operations?: O;
  schemas?: Readonly<Record<string, TSchema>>;
  /** default `/api` alone */
  prefixes?: readonly string[];
}

/** A contract with the types of its declarations. */
export interface DefinedContract<
  Name extends string,
  E extends EventTypeDeclarations,
  O extends Record<string, OperationSpec>,
> extends Contract {
  name: Name;
  events: { [Type in keyof E & string]: E[Type] & EventType };
  operations: { [Id in keyof O & string]: O[Id] & { id: Id; service: Name } };
}

/** The data of each event of a contract, by its type. */
export type EventDataOf<C extends Contract> = { [Type in keyof C['events']]: Static<C['events'][Type]['schema']> };

/**
 * Declares the contract of a service.
 * @example export const users = defineContract('users', { events: {...}, operations: {...}, schemas: { User } });
 */
export function defineContract<
  const Name extends string,
  const E extends EventTypeDeclarations = Record<string, never>,
  const O extends Record<string, OperationSpec> = Record<string, never>,
>(name: Name, declared: ContractDeclaration<E, O>): DefinedContract<Name, E, O> {
  const events = Object.entries(declared.events ?? {}).map(([type, spec]) => [type, { ...spec, source: `/${name}` }]);
  const operations = Object.entries(declared.operations ?? {}).map(([id, spec]) => [
    id,
    { ...spec, id, service: name },
  ]);
  return {
    name,
    prefixes: declared.prefixes ?? ['/api'],
    events: Object.fromEntries(events) as DefinedContract<Name, E, O>['events'],
    operations: Object.fromEntries(operations) as DefinedContract<Name, E, O>['operations'],
    schemas: declared.schemas ?? {},
  };
}

/** The contracts of all services, as one interface. */
export interface ContractRegistry {
  title: string;
  description: string;
  contracts: readonly Contract[];
  events: EventTypes;
  operations: readonly Operation[];
  schemas: Readonly<Record<string, TSchema>>;
}

/**
 * Collects the contracts of all services.
 * @throws if two contracts have a service, an event type, an operation or a schema with the same name
 */
export function collectContracts(
  about: { title: string; description: string },
  contracts: readonly Contract[],
): ContractRegistry {
  unique(
    'service',
    contracts.map((contract) => [contract.name, contract]),
  );
  return {
    ...about,
    contracts,
    events: unique(
      'event type',
      contracts.flatMap(({ events }) => Object.entries(events)),
    ),
    operations: Object.values(
      unique(
        'operation',
        contracts.flatMap(({ operations }) => Object.entries(operations)),
      ),
    ),
    schemas: unique(
      'schema',
      contracts.flatMap(({ schemas }) => Object.entries(schemas)),
    ),
  };
}

function unique<T>(kind: string, entries: readonly (readonly [string, T])[]): Record<string, T> {
  const found: Record<string, T> = {};
  for (const [name, value] of entries) {
    if (Object.hasOwn(found, name) && found[name] !== value)
      throw new PlatformError('ERR_CONTRACT_CONFLICT', `Two contracts have the ${kind} ${name}`);
    found[name] = value;
  }
  return found;
}
