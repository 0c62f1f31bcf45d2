const broker = '([^\\s,:\\[\\]]+|\\[[0-9a-fA-F:.]+\\]):[0-9]+';

/** Brokers to connect to first, as a regular expression: host:port, several separated by commas; an IPv6 address in brackets. */
export const brokersPattern = `^${broker}(,${broker})*$`;

/** How clients of Kafka can say who they are. */
export const saslMechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;
export type SaslMechanism = (typeof saslMechanisms)[number];
