import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of the gateway; its HTTP answers are problems. */
export const gatewayErrors = {
  ERR_GATEWAY_CLIENT_GONE: {
    means: 'A client disconnected before its answer, and the gateway ended the call to the service.',
    action: 'Nothing: only traces show it.',
  },
} as const satisfies ErrorCatalogue;

/** An error of the gateway. */
export class GatewayError extends CodedError<keyof typeof gatewayErrors> {
  override name = 'GatewayError';
}
