import type { TSchema } from 'typebox';
import type { ContractRegistry } from './contract.ts';
import { ifNoneMatch, isConditional } from './operation.ts';
import type { Operation } from './operation.ts';
import { components, toDocument } from './schema-document.ts';
import type { Json } from './schema-document.ts';

const fieldError = {
  type: 'object',
  required: ['field', 'message'],
  properties: { field: { type: 'string' }, message: { type: 'string' } },
};

const problem: Json = {
  type: 'object',
  description: 'RFC 9457 problem details',
  required: ['type', 'title', 'status', 'detail', 'instance'],
  properties: {
    type: { type: 'string', format: 'uri' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    instance: { type: 'string' },
    errors: { type: 'array', description: 'for bad input: each field', items: fieldError },
  },
};

const problemContent = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };

/** Problems that every operation can answer. */
const commonProblems = {
  '503': {
    description: 'Not available right now',
    headers: { 'Retry-After': { description: 'seconds', schema: { type: 'integer' } } },
    content: problemContent,
  },
  default: { description: 'Any other fault', content: problemContent },
};

const outcomeUnknown =
  'It is not known whether the request took effect (`outcome-unknown`): look before you repeat it, or repeat it with its Idempotency-Key where the operation has one';

export interface OpenApiOptions {
  version: string;
  /** in front of the services' own paths, for the document that the gateway serves */
  prefix?: string;
}

/** The OpenAPI 3.1 document of the HTTP interface. */
export function buildOpenApi(registry: ContractRegistry, { version, prefix = '' }: OpenApiOptions): Json {
  const { title, description, contracts, operations, schemas } = registry;
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of operations) {
    (paths[`${prefix}${operation.path}`] ??= {})[operation.method] = operationDocument(operation, schemas);
  }
  return {
    openapi: '3.1.1',
    info: { title, version, description, license: { name: 'MIT', identifier: 'MIT' } },
    tags: contracts.map(({ name }) => ({ name })),
    paths: paths as Json,
    components: { schemas: { ...components(schemas), Problem: problem } },
  };
}

function operationDocument(operation: Operation, named: Readonly<Record<string, TSchema>>): Json {
  const refs = { named, root: '#/components/schemas/' };
  const conditional = isConditional(operation);
  const parameters = [
    ...parametersOf(operation, 'path'),
    ...parametersOf(operation, 'query'),
    ...Object.entries({ ...operation.headers, ...(conditional && { 'if-none-match': ifNoneMatch }) }).map(
      ([name, { description, ...limits }]) => ({
        name,
        in: 'header',
        description,
        schema: { type: 'string', ...limits },
      }),
    ),
  ];
  const responses = Object.entries(operation.responses).map(([status, spec]) => [
    status,
    {
      description: spec.description,
      ...(spec.headers && {
        headers: Object.fromEntries(
          Object.entries(spec.headers).map(([name, description]) => [
            name,
            { description, schema: { type: 'string' } },
          ]),
        ),
      }),
      ...(spec.schema && {
        content: {
          'application/json': { schema: toDocument(spec.schema, refs) },
          ...(status in commonProblems && problemContent),
        },
      }),
      ...(spec.contentType && { content: { [spec.contentType]: { schema: { type: 'string' } } } }),
    },
  ]);
  const input = operation.params ?? operation.query ?? operation.body ?? operation.headers;
  const problems = {
    ...(input && { 400: 'Bad input; `errors` names each field' }),
    ...(operation.method !== 'get' && { 504: outcomeUnknown }),
    ...operation.problems,
  };
  return {
    operationId: operation.id,
    tags: [operation.service],
    summary: operation.summary,
    ...(parameters.length > 0 && { parameters }),
    ...(operation.body && {
      requestBody: { required: true, content: { 'application/json': { schema: toDocument(operation.body, refs) } } },
    }),
    responses: {
      ...commonProblems,
      ...(conditional && { 304: { description: 'The client has it, as `If-None-Match` says' } }),
      ...Object.fromEntries(responses),
      ...Object.fromEntries(
        Object.entries(problems).map(([status, description]) => [status, { description, content: problemContent }]),
      ),
    },
  };
}

function parametersOf(operation: Operation, where: 'path' | 'query'): Json[] {
  const schema = where === 'path' ? operation.params : operation.query;
  if (!schema) return [];
  return Object.entries(schema.properties as Record<string, TSchema & { description?: string }>).map(
    ([name, property]) => ({
      name,
      in: where,
      required: where === 'path' || (schema.required ?? []).includes(name),
      ...(property.description && { description: property.description }),
      schema: toDocument(property),
    }),
  );
}
