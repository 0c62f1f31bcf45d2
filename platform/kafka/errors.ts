/** A send settles within this time, in milliseconds. */
export const sendTimeoutMs = 5_000;

/** A send that was not acknowledged as it must be; whether the messages are in the log is unknown. */
export class SendFailed extends Error {
  override name = 'SendFailed';
}

/** No broker answered. */
export class KafkaUnreachable extends Error {
  override name = 'KafkaUnreachable';
}
