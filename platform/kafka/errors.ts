/** A send settles within this time, in milliseconds. */
export const sendTimeoutMs = 5_000;

/** Thrown for a send without the expected acknowledgement; the messages may be in the log or not. */
export class SendFailed extends Error {
  override name = 'SendFailed';
}

/** Thrown when no broker answers. */
export class KafkaUnreachable extends Error {
  override name = 'KafkaUnreachable';
}
