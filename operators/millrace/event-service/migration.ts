import { hash } from '#runtime/compare.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { ownerReference } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import { databaseSecretName } from '../database-pools.ts';
import { certificateMounts } from './certificates.ts';
import type { Job } from '../informers.ts';
import { managedBy } from '../labels.ts';

type Migration = NonNullable<EventService['spec']['migration']>;

/** The restricted Pod Security Standard, for the user of the image. */
const defaultPodSecurity = {
  runAsNonRoot: true,
  runAsUser: 1000,
  runAsGroup: 1000,
  seccompProfile: { type: 'RuntimeDefault' },
};
const defaultContainerSecurity = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
};

/** Identifies the migrations of an image for some databases. Undefined where there are none. */
export function migrationOf({ spec }: Pick<EventService, 'spec'>): string | undefined {
  const { image, databases = [] } = spec;
  return image === undefined || databases.length === 0 ? undefined : hash([image, databases]).slice(0, 10);
}

export function migrationJobName(service: string, migration: string): string {
  return `${service.slice(0, 40)}-migrate-${migration}`;
}

/** Selects the pods of a Job. */
export const podsOf = (job: string): string => `batch.kubernetes.io/job-name=${job}`;

/** Says which pods a Job was made for: Kubernetes lets nobody change them. */
const templateAnnotation = 'millrace.dev/pod-template';

/** Whether a Job makes the pods that another one would make. */
export const hasSamePods = (one: KubeObject, other: KubeObject): boolean =>
  one.metadata.annotations?.[templateAnnotation] === other.metadata.annotations?.[templateAnnotation];

/** How often a Job tries to apply the migrations. */
const attempts = 5;

/**
 * The Job that applies the migrations in the image of the workload. The pods of the workload wait in an init container until
 * the migrations of their image are applied, so that it does not matter who rolls the workload.
 */
export function migrationJobOf(service: EventService, migration: string): KubeObject {
  const { namespace = '', name } = service.metadata;
  const labels = {
    ...managedBy,
    'app.kubernetes.io/name': name,
    'app.kubernetes.io/component': 'migration',
    'app.kubernetes.io/part-of': 'millrace',
  };
  const template = templateOf(service, labels);
  const job = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      namespace,
      name: migrationJobName(name, migration),
      labels,
      annotations: { [templateAnnotation]: hash(template).slice(0, 10) },
      ownerReferences: [ownerReference(service)],
    },
    // no TTL: one that has failed is not to be made again, and to fail again, for ever. Where the pod restarts its containers, a Job fails
    // as the restart of this number begins, and takes those of a mesh's containers for its own
    spec: { backoffLimit: attempts, template },
  };
  return job;
}

/** The container that applies the migrations, in the pods of the Job. */
export const migrateContainer = 'migrate';

function templateOf({ spec }: EventService, labels: Record<string, string>) {
  const { image, imagePullPolicy, imagePullSecrets, databases = [] } = spec;
  const { podSecurityContext = defaultPodSecurity, containerSecurityContext = defaultContainerSecurity } = spec;
  const { podLabels, podAnnotations, resources, ...podFields }: Partial<Migration> = spec.migration ?? {};
  const { volumeMounts, volumes } = certificateMounts(spec.postgresql?.tls);
  const variable = (database: string) => `URL_${database.toUpperCase().replaceAll('-', '_')}`;
  const container = {
    name: migrateContainer,
    image,
    ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }),
    args: ['platform/migrate/main.ts', ...databases.map((database) => `${database.schema}=${variable(database.name)}`)],
    env: databases.map((database) => ({
      name: variable(database.name),
      valueFrom: { secretKeyRef: { name: databaseSecretName(database.name), key: 'url' } },
    })),
    ...(volumeMounts.length === 0 ? {} : { volumeMounts }),
    terminationMessagePolicy: 'FallbackToLogsOnError',
    ...(resources === undefined ? {} : { resources }),
    securityContext: containerSecurityContext,
  };
  return {
    metadata: {
      // NetworkPolicies select the pods by the operator's
      labels: { ...podLabels, ...labels },
      ...(podAnnotations === undefined ? {} : { annotations: podAnnotations }),
    },
    spec: {
      ...podFields,
      // restarts the container: network policies already know its pod
      restartPolicy: 'OnFailure',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...(imagePullSecrets === undefined ? {} : { imagePullSecrets }),
      securityContext: podSecurityContext,
      containers: [container],
      ...(volumes.length === 0 ? {} : { volumes }),
    },
  };
}

type JobState = 'Running' | 'Complete' | 'Failed';

export function jobState(job: Job): JobState {
  const isSo = (type: string) => job.status?.conditions?.some((one) => one.type === type && one.status === 'True');
  if (isSo('Complete')) return 'Complete';
  return isSo('Failed') ? 'Failed' : 'Running';
}

/** How the attempts of a Job went. */
export interface Attempts {
  /** the message of the last one that failed */
  failure?: string | undefined;
  /** why none can begin */
  waiting?: string | undefined;
}

const attemptMark = 'its last attempt: ';

/** The failure of a Job in an earlier message of the condition: a Job that gives up deletes its pod, and with it the message. */
export function failureIn(message: string | undefined, job: string): string | undefined {
  const [before = '', ...failure] = message?.split(attemptMark) ?? [];
  return before.startsWith(`Job ${job} `) && failure.length > 0 ? failure.join(attemptMark) : undefined;
}

/**
 * @param applied the migration that was applied last
 * @param job the Job of the migration that is to be applied
 */
export function migratedCondition(
  service: EventService,
  applied: string | undefined,
  job: Job | undefined,
  { failure, waiting }: Attempts = {},
): ConditionUpdate {
  const type = 'Migrated';
  const { databases = [] } = service.spec;
  const wanted = migrationOf(service);
  if (databases.length === 0) return { type, status: 'True', reason: 'NoDatabases', message: '' };
  if (wanted === undefined) return { type, status: 'False', reason: 'NoImage', message: 'spec.image is missing' };
  if (applied === wanted) return { type, status: 'True', reason: 'Applied', message: '' };
  if (!job) return { type, status: 'False', reason: 'Pending', message: 'the migrations wait for the databases' };
  const said = (state: string) =>
    `Job ${job.metadata.name} ${state}${failure === undefined ? '' : `; ${attemptMark}${failure}`}`;
  if (jobState(job) === 'Failed') {
    const message = said('has failed, and is made again when somebody deletes it');
    return { type, status: 'False', reason: 'MigrationFailed', message };
  }
  if (waiting === undefined)
    return { type, status: 'False', reason: 'Migrating', message: said('applies the migrations') };
  return { type, status: 'False', reason: 'MigrationWaiting', message: said(`waits: ${waiting}`) };
}
