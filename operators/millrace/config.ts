import { Type } from 'typebox';
import { commonConfig } from '#platform/config';

const Seconds = (seconds: number, description: string) =>
  Type.Integer({ minimum: 2, maximum: 600, default: seconds, description });

/** The settings of the operator. */
export const configSchema = Type.Object({
  ...commonConfig,
  PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 8090, description: 'health and metrics' }),
  WATCH_NAMESPACES: Type.String({
    default: '',
    pattern: '^$|^[a-z0-9-]+(,[a-z0-9-]+)*$',
    description: 'namespaces, separated by commas; all where it is empty',
  }),
  LEASE_NAMESPACE: Type.String({
    default: '',
    description: "where the lease is; the pod's own namespace where it is empty",
  }),
  LEASE_NAME: Type.String({ default: 'millrace-operator' }),
  LEASE_SECONDS: Seconds(10, 'how long a leader that is silent is waited for'),
  POD_NAME: Type.String({ default: '', description: 'who this is among the replicas' }),
});
