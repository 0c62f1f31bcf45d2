import type { PlatformErrorCode } from './catalogue.ts';
import { CodedError } from './coded-error.ts';

export { platformErrors } from './catalogue.ts';
export type { PlatformErrorCode } from './catalogue.ts';
export { CodedError, messageOf, toError } from './coded-error.ts';
export type { ErrorCatalogue } from './coded-error.ts';
export { isLockFailure } from './lock-failure.ts';

/** An error of the platform. */
export class PlatformError extends CodedError<PlatformErrorCode> {
  override name = 'PlatformError';
}
