import { conditionOf } from '#runtime/conditions.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import { isNotFound } from '#runtime/errors.ts';
import type { KubeObject } from '#runtime/objects.ts';
import type { EventService, EventServiceStatus } from '../api/event-service.ts';
import { jobs } from '../api/kinds.ts';
import type { ControllerContext } from '../controller-context.ts';
import type { DatabasePools } from '../database-pools.ts';
import { isManaged, manager } from '../labels.ts';
import { applyOwn } from '../own-objects.ts';
import type { DatabaseProvisioner } from './databases.ts';
import { findMigrations, unreadable } from './found-migrations.ts';
import type { FoundMigrations } from './found-migrations.ts';
import type { ImageIds } from './image-ids.ts';
import { failureIn, jobState, migratedCondition, migrationJobName, migrationJobOf, migrationOf } from './migration.ts';
import { readAttempts } from './migration-pods.ts';
import { deleteReplaced } from './replaced-jobs.ts';

/** The migration that was applied last, and what the databases had after it. */
type AppliedMigration = Pick<EventServiceStatus, 'migrated' | 'migrations' | 'imageIds'>;

/** Where the migrations of a service are. */
export interface MigrationProgress {
  condition: ConditionUpdate;
  databases: FoundMigrations['databases'];
  applied: AppliedMigration;
}

interface Dependencies {
  pools: DatabasePools;
  images: ImageIds;
  provisioner: Pick<DatabaseProvisioner, 'forget'>;
}

const type = 'Migrated';

/** How long a Job that has applied its migrations stays, for people who read its log. */
const keptSeconds = 600;

/**
 * Runs the Job of the migrations where an image or a database needs it. The databases themselves say which migrations they have: one
 * that was restored or created anew lacks some, whatever the status says.
 * @param haveDatabases whether they exist
 */
export async function migrate(
  context: ControllerContext,
  { pools, provisioner, images }: Dependencies,
  service: EventService,
  haveDatabases: boolean,
  signal: AbortSignal,
): Promise<MigrationProgress> {
  const { api, jobs: known } = context;
  const { namespace = '', name } = service.metadata;
  const { migrated, migrations, imageIds, conditions, databases: before = [] } = service.status ?? {};
  const last = appliedOf(migrated, migrations, imageIds);
  const wanted = migrationOf(service);
  const jobName = migrationJobName(name, wanted ?? '');
  // looked at before the databases: these have everything of a Job that has finished by now
  const job = known.store.get(`${namespace}/${jobName}`);
  const found = haveDatabases ? await findMigrations(service, pools, signal) : undefined;
  const databases = found?.databases ?? before;
  if (wanted === undefined || (!found && migrated !== wanted)) {
    return { condition: migratedCondition(service, undefined, undefined), databases, applied: last };
  }
  if (found?.fingerprint === undefined) {
    provisioner.forget(service); // a database that is gone is created again
    const message = found?.failure ?? 'the databases are not ready';
    return { condition: { type, status: 'Unknown', reason: unreadable, message }, databases, applied: last };
  }
  const wantedJob = migrationJobOf(service, wanted);
  if (await deleteReplaced(context, service, wantedJob, signal)) {
    const message = `Job ${jobName} is made again: its pods were to run otherwise`;
    return { condition: { type, status: 'False', reason: 'Migrating', message }, databases, applied: last };
  }
  const isCurrent = migrated === wanted;
  const running = isCurrent ? await images.ofWorkload(service, signal) : [];
  const isPushedAgain = imageIds !== undefined && running.some((id) => !imageIds.includes(id));
  if (isCurrent && migrations === found.fingerprint && !isPushedAgain) {
    const condition = migratedCondition(service, wanted, undefined);
    return { condition, databases, applied: appliedOf(migrated, migrations, imageIds ?? running) };
  }
  const state = job && jobState(job);
  if (isCurrent && job && state !== 'Running') {
    // it finished before that, and its successor has the same name
    await api.delete(jobs, namespace, jobName, { signal, uid: job.metadata.uid });
    const [reason, message] = isPushedAgain
      ? ['ImagePushedAgain', `the pods run another image of the tag ${service.spec.image}: its migrations are applied`]
      : [
          'MigrationsMissing',
          'the databases have other migrations than those that were applied: they are applied again',
        ];
    return { condition: { type, status: 'False', reason, message }, databases, applied: last };
  }
  if (job && state === 'Complete') {
    // those that the Job was made for count as well: its node may know another image by the tag, and it would run again and again
    const madeFor = migrated === undefined ? (imageIds ?? []) : [];
    const ids = [...madeFor, ...(await images.ofJob(service, jobName, signal))];
    await letGo(context, job, signal);
    const condition = migratedCondition(service, wanted, undefined);
    return { condition, databases, applied: appliedOf(wanted, found.fingerprint, ids) };
  }
  if (!job && !isManaged(await applyOwn(context, known, wantedJob, signal))) {
    const message = `the Job ${jobName} exists, and Millrace has not made it: delete it`;
    return { condition: { type, status: 'False', reason: 'JobTaken', message }, databases, applied: last };
  }
  const earlier = conditionOf(conditions, type)?.message;
  const attempts = job ? await readAttempts(context, job, signal) : {};
  const failure = attempts.failure ?? (job && failureIn(earlier, jobName));
  const shown = job ?? ({ metadata: { name: jobName } } as KubeObject);
  const condition = migratedCondition(service, undefined, shown, { ...attempts, failure });
  const applied = isCurrent ? appliedOf(undefined, undefined, [...(imageIds ?? []), ...running]) : last;
  return { condition, databases, applied };
}

/** Lets Kubernetes delete a Job that has finished, after a while. */
async function letGo({ api }: Pick<ControllerContext, 'api'>, { metadata }: KubeObject, signal: AbortSignal) {
  const patch = { spec: { ttlSecondsAfterFinished: keptSeconds } };
  try {
    await api.patch(jobs, metadata.namespace, metadata.name, patch, { signal, manager });
  } catch (error) {
    if (!isNotFound(error)) throw error; // somebody has deleted it before
  }
}

const maxImageIds = 20;

function appliedOf(
  migrated: string | undefined,
  migrations: string | undefined,
  imageIds: readonly string[] = [],
): AppliedMigration {
  return {
    ...(migrated === undefined ? {} : { migrated }),
    ...(migrations === undefined ? {} : { migrations }),
    ...(imageIds.length === 0 ? {} : { imageIds: [...new Set(imageIds)].slice(-maxImageIds) }),
  };
}
