export { judgeChanges } from './accepted.ts';
export type { AcceptedChange } from './accepted.ts';
export { buildAsyncApi } from './asyncapi.ts';
export { InvalidEvent, contractDecoder, createDecoder, encodeHeaders, identityOf, readJson } from './cloudevents.ts';
export type { DecodeEvent, ReceivedEvent } from './cloudevents.ts';
export { consumerOperations, opsContracts, opsDocument } from './consumer-operations.ts';
export type {
  DeadLetter,
  DeadLetterDetail,
  DeadLetterFilter,
  DeadLetterJob,
  PartitionOffset,
} from './consumer-operations.ts';
export { collectContracts, defineContract } from './contract.ts';
export type { Contract, ContractRegistry, EventDataOf, EventTypes } from './contract.ts';
export { Id, IdReference, PathId, Version, isExactId } from './id.ts';
export { endOfText } from './json-member.ts';
export { fromCents, fromDecimal, money, toCents } from './money.ts';
export { buildOpenApi } from './openapi.ts';
export {
  Page,
  ServiceHealth,
  contentTag,
  defaultLimit,
  ifMatch,
  ifNoneMatch,
  isConditional,
  maxLimit,
  pageHeaders,
} from './operation.ts';
export type { HeaderSpec, Operation, OperationRequest } from './operation.ts';
export { currentRelease, eventBreaks, releaseBreaks } from './release.ts';
export type { Release } from './release.ts';
export { patternMessages } from './patterns.ts';
export { Email, emailPattern, Text, textPattern } from './text.ts';
export { EventTime, QueryTime, Time, eventTimePattern, parseTime, timePattern } from './time.ts';
