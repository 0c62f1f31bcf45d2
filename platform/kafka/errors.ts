import { PlatformError } from '#platform/errors';

/** A send settles within this time, in milliseconds. */
export const sendTimeoutMs = 5_000;

/** A send that was not acknowledged as it must be; whether the messages are in the log is unknown. */
export class SendFailed extends PlatformError {
  override name = 'SendFailed';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_KAFKA_SEND_FAILED', message, options);
  }
}

/** No broker answered. */
export class KafkaUnreachable extends PlatformError {
  override name = 'KafkaUnreachable';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_KAFKA_UNREACHABLE', message, options);
  }
}
