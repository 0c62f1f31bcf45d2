/**
 * What is between a client of the fake and its brokers: it decides when a call takes effect, whether it does, and what the caller
 * learns of it.
 * @param call names the call for people
 * @param effect what the brokers do; a network can run it late, more than once, or not at all
 */
export type Network = <T>(call: string, effect: () => T | Promise<T>) => Promise<T>;

/** Each call takes effect at once. */
export const directly: Network = async (_call, effect) => effect();
