import { Type } from 'typebox';
import { commonConfig } from '#platform/config';

const Seconds = (seconds: number, description: string) =>
  Type.Integer({ minimum: 2, maximum: 600, default: seconds, description });

/** The settings of the operator. */
export const configSchema = Type.Object({
  ...commonConfig,
  PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 8090, description: 'port of health and metrics' }),
  WATCH_NAMESPACES: Type.String({
    default: '',
    pattern: '^$|^[a-z0-9-]+(,[a-z0-9-]+)*$',
    description: 'namespaces, separated by commas; empty: all namespaces',
  }),
  DELETION_ALLOWED: Type.Boolean({
    default: false,
    description: 'whether `deletionPolicy: Delete` may delete topics and databases',
  }),
  LEASE_NAMESPACE: Type.String({
    default: '',
    description: 'namespace of the Lease; empty: the namespace of the pod',
  }),
  LEASE_NAME: Type.String({ default: 'millrace-operator' }),
  LEASE_SECONDS: Seconds(10, 'how long the other replicas wait for a leader that no longer renews'),
  POD_NAME: Type.String({ default: '', description: 'the name of this replica' }),
});
