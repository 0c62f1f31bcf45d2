export { CircuitBreaker } from './breaker.ts';
export type { BreakerOptions, BreakerState, CallOutcome } from './breaker.ts';
export { drainable } from './drain.ts';
export type { Draining } from './drain.ts';
export { sendProblem } from './answer.ts';
export { bodyLimit, createHttpServer } from './server.ts';
export { createApp, createHttp, mountErrors, mountHealth, mountRead, observeRequest } from './http.ts';
export type { Handlers, HttpPart, HttpService, Reply } from './http.ts';
export { entityTag, parseIfMatch } from './entity-tag.ts';
export { nextPage } from './page.ts';
export {
  Problem,
  badRequest,
  conflict,
  notFound,
  outcomeUnknown,
  preconditionFailed,
  unavailable,
  unprocessable,
} from './problem.ts';
export type { FieldError } from './problem.ts';
export { ProblemLog } from './problem-log.ts';
export { routesOf } from './routes.ts';
export { subjectHeader, subjectOf } from './subject.ts';
