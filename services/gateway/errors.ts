import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of the gateway, which answers with problems else. */
export const gatewayErrors = {
  ERR_GATEWAY_CLIENT_GONE: {
    means: 'A client has gone before it had its answer, and the call on its behalf was ended.',
    action: 'Nothing. It is seen in traces only.',
  },
} as const satisfies ErrorCatalogue;

/** An error of the gateway. */
export class GatewayError extends CodedError<keyof typeof gatewayErrors> {
  override name = 'GatewayError';
}
