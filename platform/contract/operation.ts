import { Type } from 'typebox';
import type { Static, TObject, TSchema } from 'typebox';
import { PathId } from './id.ts';

export interface ResponseSpec {
  description: string;
  schema?: TSchema;
  contentType?: string;
  headers?: Record<string, string>;
}

/** A header of a request. Other values than these are refused. */
export interface HeaderSpec {
  description: string;
  maxLength?: number;
  minLength?: number;
  /** a regular expression that matches in the value */
  pattern?: string;
}

/** Lets a change through only if nobody has changed the thing in between. */
export const ifMatch: HeaderSpec = { description: 'the ETag of what is to be changed; else 412', maxLength: 255 };

/** Every GET of one thing knows this header: whatever declares an ETag. A cache may name many. */
export const ifNoneMatch: HeaderSpec = { description: 'the ETag of what the client has; then 304' };

/** Whether an operation answers 304 to a client that has the answer. */
export function isConditional({ method, responses }: OperationSpec): boolean {
  return method === 'get' && Object.values(responses).some(({ headers }) => headers?.['ETag'] !== undefined);
}

const CheckResult = Type.Object({ status: Type.Enum(['UP', 'DOWN']), reason: Type.Optional(Type.String()) });

/** What `/health` of a service says. */
export const ServiceHealth = Type.Object({
  status: Type.Enum(['UP', 'DOWN']),
  service: Type.String(),
  checks: Type.Record(Type.String(), CheckResult),
});

/** The declaration of an HTTP operation, from which routing, validation, OpenAPI and the gateway's routes are made. */
export interface OperationSpec {
  method: 'get' | 'post' | 'put' | 'delete';
  /** the path on the service's own port, with `{name}` parameters */
  path: string;
  summary: string;
  params?: TObject;
  query?: TObject;
  /** the request headers that the operation uses, in lower case */
  headers?: Record<string, HeaderSpec>;
  body?: TObject;
  responses: Record<number, ResponseSpec>;
  /** the status codes of its problems, without 304, which follows from an ETag, 400, 413, 500 and 503, which every operation has, and 504, which all but GET have */
  problems?: Record<number, string>;
}

/** An operation with its name and the service that offers it. */
export interface Operation extends OperationSpec {
  id: string;
  service: string;
}

type Part<S> = S extends TObject ? Static<S> : Record<string, never>;

/** A validated request of an operation. */
export interface OperationRequest<O extends Operation> {
  params: Part<O['params']>;
  query: Part<O['query']>;
  body: Part<O['body']>;
  /** a request header by its lower-case name */
  header(name: string): string | undefined;
  /** aborted when the client closes the connection */
  signal: AbortSignal;
}

export const defaultLimit = 100;
export const maxLimit = 1000;

/** Query parameters of every list. */
export const Page = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: maxLimit, default: defaultLimit })),
  cursor: Type.Optional(PathId),
};

/** The header of one thing without a version. */
export const contentTag = { ETag: 'of this answer, for If-None-Match' };

/** The headers of every list. */
export const pageHeaders = { Link: 'the next page, `<...>; rel="next"`, where there is one' };
