import { isUtf8 } from 'node:buffer';
import express from 'express';
import type { Express, NextFunction, Request, RequestHandler, Response } from 'express';
import { ifNoneMatch, isConditional } from '#platform/contract';
import type { Contract, Operation, OperationRequest } from '#platform/contract';
import { hasCode, PlatformError } from '#platform/errors';
import { sendProblem } from './answer.ts';
import type { Draining } from './drain.ts';
import { healthAnswer } from '#platform/health';
import type { Health, HealthReport } from '#platform/health';
import type { Logger } from '#platform/telemetry';
import { histogram, registry, SpanKind, SpanStatusCode, startSpan, withSpan } from '#platform/telemetry';
import { BatcherFull, isOutcomeUnknown, isUnavailable } from '#platform/postgres';
import { contentTag, isKnown } from './entity-tag.ts';
import { Problem, badRequest, notFound, outcomeUnknown, unavailable } from './problem.ts';
import { ProblemLog } from './problem-log.ts';
import { expressPath, routesOf } from './routes.ts';
import { bodyLimit, createHttpServer } from './server.ts';
import { bodyValidator, headerValidator, parameterValidator } from './validation.ts';

export interface Reply {
  /** default 200, or 204 without a body */
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** Handles a validated request. A handler that writes to `response` itself (server-sent events) returns undefined. */
export type Handler<O extends Operation> = (
  request: OperationRequest<O>,
  response: Response,
) => Reply | undefined | Promise<Reply | undefined>;

export type Handlers<Operations extends Record<string, Operation>> = {
  [Id in keyof Operations]: Handler<Operations[Id]>;
};

export interface HttpOptions<Operations extends Record<string, Operation>> {
  contract: Contract & { operations: Operations };
  handlers: Handlers<Operations>;
  health: Health;
  log: Logger;
  /** operations beside those of the contract */
  part?: HttpPart;
  /** called before each operation of the contract that can change something; what it throws is the answer */
  beforeCommand?: () => void;
}

/** Operations that the platform declares and answers. */
export interface HttpPart {
  operations: Readonly<Record<string, Operation>>;
  handlers: Readonly<Record<string, Handler<Operation>>>;
}

export interface HttpService extends Draining {
  app: Express;
}

/** An Express 5 app that serves the operations of a contract, with health, metrics, tracing and problem+json errors. */
export function createHttp<Operations extends Record<string, Operation>>(
  options: HttpOptions<Operations>,
): HttpService {
  const {
    contract: { name, operations },
    handlers,
    health,
    log,
    part,
    beforeCommand,
  } = options;
  const app = createApp();
  const problems = new ProblemLog(log);
  mountHealth(app, name, health);
  const handlerOf = ({ id, method }: Operation): Handler<Operation> => {
    const ofPart = part?.handlers[id];
    if (ofPart) return ofPart;
    const own = handlers[id] as Handler<Operation>;
    if (!beforeCommand || method === 'get') return own;
    return (request, response) => {
      beforeCommand();
      return own(request, response);
    };
  };
  for (const route of routesOf([...Object.values(operations), ...Object.values(part?.operations ?? {})])) {
    const path = expressPath(route.path);
    for (const operation of route.operations) {
      app[operation.method](path, operationHandler(operation, handlerOf(operation), problems));
    }
    app.all(path, methodNotAllowed(route.allow));
  }
  mountErrors(app, problems);
  return { app, ...createHttpServer(app, health) };
}

/** An Express app with this project's settings and nothing mounted. */
export function createApp(): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  return app;
}

/** `/health`, `/livez`, `/readyz` and `/metrics`. */
export function mountHealth(app: Express, service: string, health: Health): void {
  const report = (check: () => Promise<HealthReport>) => async (_: Request, response: Response) => {
    const { status, body } = healthAnswer(service, await check());
    response.status(status).json(body);
  };
  mountRead(
    app,
    '/health',
    report(() => health.report()),
  );
  mountRead(
    app,
    '/readyz',
    report(() => health.readiness()),
  );
  mountRead(
    app,
    '/livez',
    report(() => health.liveness()),
  );
  mountRead(app, '/metrics', async (_, response) => {
    response.set('content-type', registry.contentType).end(await registry.metrics());
  });
}

/** Serves GET and HEAD; other methods get 405. */
export function mountRead(app: Express, path: string | string[], handler: RequestHandler): void {
  app.get(path, handler);
  app.all(path, methodNotAllowed('GET, HEAD, OPTIONS'));
}

/** Answers 405 with `Allow`, or an OPTIONS request. */
function methodNotAllowed(allow: string) {
  return (request: Request, response: Response): void => {
    if (request.method === 'OPTIONS') {
      response.status(204).set('Allow', allow).end();
      return;
    }
    throw new Problem(405, { detail: `${request.method} is not allowed here`, headers: { Allow: allow } });
  };
}

/** The last handlers: 404 for unknown paths, and a problem for every error. */
export function mountErrors(app: Express, problems: ProblemLog): void {
  app.use((request: Request) => {
    throw notFound(`There is nothing at ${request.path}`);
  });
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    answerError(error, request, response, problems);
  });
}

const durations = histogram({
  name: 'millrace_http_request_seconds',
  help: 'Time from the head of a request to the end of its answer',
  labelNames: ['method', 'route', 'status'],
});

/** Counts a finished request. */
export function observeRequest(method: string, route: string, status: number, startedAt: number): void {
  durations.observe({ method, route, status }, (performance.now() - startedAt) / 1000);
}

const parseJson = express.json({
  limit: bodyLimit,
  strict: true,
  type: ['application/json', 'application/*+json'],
  verify(_, __, body, encoding) {
    // it would be decoded to other characters
    if (/^utf\W?8$/.test(encoding) && !isUtf8(body)) throw new PlatformError('ERR_HTTP_PROBLEM', 'not UTF-8');
  },
});

function readBody(request: Request, response: Response): Promise<unknown> {
  return new Promise((resolve, reject) => {
    parseJson(request, response, (error?: unknown) => (error ? reject(error as Error) : resolve(request.body)));
  });
}

function operationHandler(operation: Operation, handler: Handler<Operation>, problems: ProblemLog) {
  const params = operation.params ? parameterValidator(operation.params) : () => ({});
  const query = operation.query ? parameterValidator(operation.query) : () => ({});
  const body = operation.body ? bodyValidator(operation.body) : undefined;
  const method = operation.method.toUpperCase();
  const name = `${method} ${operation.path}`;
  const conditional = isConditional(operation);
  const checkHeaders = headerValidator({ ...operation.headers, ...(conditional && { 'if-none-match': ifNoneMatch }) });

  async function answer(request: Request, response: Response): Promise<Reply | undefined> {
    checkHeaders(request.headers);
    const validated = {
      params: params(request.params),
      query: query(request.query),
      body: body ? body(await readJsonObject(request, response)) : {},
      header: (header: string) => request.get(header),
      get signal() {
        return abortSignalOf(response);
      },
    };
    return handler(validated as unknown as OperationRequest<Operation>, response);
  }

  return async (request: Request, response: Response): Promise<void> => {
    const startedAt = performance.now();
    const span = startSpan(name, {
      kind: SpanKind.SERVER,
      parent: request.get('traceparent'),
      attributes: { 'http.request.method': method, 'http.route': operation.path, 'url.path': request.path },
    });
    response.once('close', () => {
      observeRequest(method, operation.path, response.statusCode, startedAt);
      span.setAttribute('http.response.status_code', response.statusCode);
      if (response.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
    await withSpan(span, async () => {
      try {
        const reply = await answer(request, response);
        if (reply) send(response, reply, conditional ? { ifNoneMatch: request.get('if-none-match') } : undefined);
      } catch (error) {
        answerError(error, request, response, problems);
      }
    });
  };
}

async function readJsonObject(request: Request, response: Response): Promise<unknown> {
  const body = await readBody(request, response);
  if (body !== undefined) return body;
  if (request.headers['content-type'] !== undefined) {
    throw new Problem(415, { detail: 'The body must be application/json' });
  }
  throw badRequest('A JSON body is required', [{ field: 'body', message: 'is required' }]);
}

function abortSignalOf(response: Response): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => controller.abort());
  return controller.signal;
}

/** What a client says that it has. */
interface Condition {
  ifNoneMatch: string | undefined;
}

function send(response: Response, { status, headers, body }: Reply, condition: Condition | undefined): void {
  if (body === undefined) {
    response.writeHead(status ?? 204, headers).end();
    return;
  }
  const payload = Buffer.from(JSON.stringify(body));
  if (condition) {
    const tag = headers?.['ETag'] ?? contentTag(payload);
    headers = { ...headers, ETag: tag };
    if (isKnown(condition.ifNoneMatch, tag)) {
      response.writeHead(304, headers).end();
      return;
    }
  }
  response
    .writeHead(status ?? 200, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': payload.length,
      ...headers,
    })
    .end(payload);
}

/** The problem for an error; internal errors show no details to the client. */
function problemOf(error: unknown, method: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof BatcherFull) return unavailable('The service is busy', 1, error);
  const { status, type } = (error ?? {}) as { status?: number; type?: string };
  if (type === 'entity.too.large') return new Problem(413, { detail: `The body is larger than ${bodyLimit} bytes` });
  if (type === 'entity.verify.failed')
    return badRequest('The body is not UTF-8', [{ field: 'body', message: 'is not UTF-8' }]);
  if (type === 'entity.parse.failed')
    return badRequest('The body is not JSON', [{ field: 'body', message: 'is not JSON' }]);
  if (status !== undefined && status >= 400 && status < 500) {
    return new Problem(status, {
      detail: error instanceof URIError ? 'The path is not well formed' : 'The request is not well formed',
    });
  }
  if (hasCode(error, 'ERR_OUTBOX_BEHIND'))
    return unavailable('The database was put back to an earlier time, and waits for what it has lost', 30, error);
  if (isUnavailable(error)) {
    // a query changes nothing, whatever became of it
    return isOutcomeUnknown(error) && method !== 'GET' && method !== 'HEAD'
      ? outcomeUnknown(
          'The connection to the database was lost, and it is not known whether the request took effect',
          error,
        )
      : unavailable('The database cannot be used now', 2, error);
  }
  return new Problem(500, { detail: 'Something went wrong here; the log says what', cause: error });
}

/** The path that the client has requested: the gateway removes its prefix. */
function instanceOf(request: Request): string {
  const prefix = request.get('x-forwarded-prefix') ?? '';
  const path = request.originalUrl.split('?')[0]!;
  return /^(\/[\w-]+)+$/.test(prefix) ? prefix + path : path;
}

/** Sends an error as `application/problem+json`, and logs what is none of the client's. */
function answerError(error: unknown, request: Request, response: Response, problems: ProblemLog): void {
  const problem = problemOf(error, request.method);
  problems.write(problem, { method: request.method, path: request.path });
  sendProblem(problem, request, response, instanceOf(request));
}
