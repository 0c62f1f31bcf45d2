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

/** Whether an error is one of the platform with this code. */
export function hasCode(error: unknown, code: PlatformErrorCode): error is PlatformError {
  return error instanceof PlatformError && error.code === code;
}
