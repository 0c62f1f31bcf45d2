/** Brokers to connect to first, as a regular expression: host:port, several separated by commas. */
export const brokersPattern = '^[^\\s,:]+:[0-9]+(,[^\\s,:]+:[0-9]+)*$';

/** How clients of Kafka can say who they are. */
export const saslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;
export type SaslMechanism = (typeof saslMechanisms)[number];
