export {
  ExactSum,
  addDecimals,
  average,
  compareDecimals,
  formatDecimal,
  isNumeric,
  parseDecimal,
  toJson,
} from './decimal.ts';
export { ExpressionError } from './expression.ts';
export type { Expression, Row } from './expression.ts';
export { QueryFilesError, loadQueries, readQueries } from './load.ts';
export type { QueryFault, LoadedQueries } from './load.ts';
export { membersOf } from './data-members.ts';
export { parseQuery } from './parse.ts';
export { StreamQuerySchema } from './schema.ts';
export type { StreamQueryFile } from './schema.ts';
export type { Aggregate, StreamQuery, WindowSpec } from './stream-query.ts';
export { queryTopics, refusalOf, runnerOf } from './topics.ts';
export type { QueryTopics } from './topics.ts';
