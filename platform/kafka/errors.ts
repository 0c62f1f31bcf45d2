import { PlatformError } from '#platform/errors';

/** A send settles within this time, in milliseconds. */
export const sendTimeoutMs = 5_000;

/** Thrown for a send without the expected acknowledgement; the messages may be in the log or not. */
export class SendFailed extends PlatformError {
  override name = 'SendFailed';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_KAFKA_SEND_FAILED', message, options);
  }
}

/** Thrown when no broker answers. */
export class KafkaUnreachable extends PlatformError {
  override name = 'KafkaUnreachable';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_KAFKA_UNREACHABLE', message, options);
  }
}
