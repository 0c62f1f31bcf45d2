import { isTrue, setConditions, transitions } from '#runtime/conditions.ts';
import type { Condition, ConditionUpdate } from '#runtime/conditions.ts';
import { isNotFound, isRefusal } from '#runtime/errors.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import { equal } from '#runtime/compare.ts';
import { keyOf } from '#runtime/objects.ts';
import type { Resource, ResourceType } from '#runtime/objects.ts';
import { without, writeStatus } from '#runtime/status.ts';
import type { ControllerContext } from './controller-context.ts';
import { manager } from './labels.ts';

/** The common fields of every kind's status. */
export interface StatusWithConditions {
  observedGeneration?: number | undefined;
  conditions?: Condition[] | undefined;
}

/** The result of a reconcile: the conditions, and the other fields of the status. */
export interface StatusUpdate<Status extends StatusWithConditions> {
  conditions: readonly ConditionUpdate[];
  fields: Omit<Status, keyof StatusWithConditions>;
}

/** Reasons of a Ready that is False because something takes its time: the event of such a reason is no warning. */
const inProgressReasons = new Set([
  'Building',
  'Migrating',
  'Pending',
  'Queued',
  'Replaying',
  'Requested',
  'Starting',
  'TopicNotReady',
  'TopicsNotReady',
  'UserNotReady',
]);

/** Reasons of a Ready that is False until somebody changes something: the operator cannot mend it. */
const stalledReasons = new Set([
  'ConfigMapTaken',
  'DatabaseNameReserved',
  'DatabaseTaken',
  'DeletionNotAllowed',
  'Invalid',
  'InvalidResourceException',
  'JobTaken',
  'KafkaLoginRefused',
  'KafkaRefused',
  'KafkaRightMissing',
  'MigrationFailed',
  'NoImage',
  'NoKafka',
  'NoPostgresql',
  'NoRoom',
  'NotSupported',
  'PostgresqlLoginRefused',
  'PostgresqlPooler',
  'PostgresqlRightMissing',
  'PostgresqlUntrusted',
  'ReconcileRefused',
  'ResourceConflict',
  'RunnerTaken',
  'TopicTaken',
  'UserTaken',
]);

/** The condition that tools wait no longer for: they take it for a failure, and its absence for none. */
const stalled = 'Stalled';

/** Conditions that say what is wrong, and are there only where it is. */
export const deletionAllowed = 'DeletionAllowed';
export const queriesRunning = 'QueriesRunning';
const passing = new Set([stalled, deletionAllowed, queriesRunning]);

/** The condition Stalled, where waiting does not help. */
export function stalledOf(updates: readonly ConditionUpdate[]): ConditionUpdate[] {
  const ready = updates.find(({ type }) => type === 'Ready');
  const hasFailed = updates.some(({ type, status }) => type === 'Failed' && status === 'True');
  if (ready?.status !== 'False' || !(hasFailed || stalledReasons.has(ready.reason))) return [];
  return [{ ...ready, type: stalled, status: 'True' }];
}

/** A status whose verdict has not changed, only its figures and messages, is written at most that often. */
const figuresEveryMs = 10_000;

/** After that many milliseconds a CRD may be another one: fields that it has not declared are written again. */
const undeclaredMs = 10 * 60_000;

type Told = Pick<ControllerContext, 'api' | 'events' | 'clock' | 'log'>;

/** Tells people how the resources of a kind are: in their statuses, in Events and in a metric. */
export class StatusReporter<Status extends StatusWithConditions> {
  readonly #context: Told;
  readonly #type: ResourceType;
  readonly #metrics: Pick<RuntimeMetrics, 'ready'>;
  /** when the status of each resource was written last */
  readonly #writtenAt = new Map<string, number>();
  /** until when each field is left out that the CRD has not declared */
  readonly #undeclared = new Map<string, number>();

  constructor(context: Told, type: ResourceType, metrics: Pick<RuntimeMetrics, 'ready'>) {
    this.#context = context;
    this.#type = type;
    this.#metrics = metrics;
  }

  /**
   * Writes the status of a resource if it has changed, and records an Event if the status or the reason of its condition
   * Ready has changed. Ready sums the other conditions up.
   * @returns after how many milliseconds a change that is not written yet may be; undefined where there is none
   */
  async report(
    object: Resource<unknown, Status>,
    update: StatusUpdate<Status>,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { api, events, clock } = this.#context;
    const { generation } = object.metadata;
    const before = object.status?.conditions;
    const updates = [...update.conditions, ...stalledOf(update.conditions)];
    const conditions = setConditions(before, updates, generation, clock.now()).filter(
      ({ type }) => !passing.has(type) || updates.some((one) => one.type === type),
    );
    this.#metrics.ready(this.#type, keyOf(object), isTrue(conditions, 'Ready'));
    const leftOut = [...this.#undeclared].filter(([, until]) => until > clock.now()).map(([field]) => field);
    const whole = { ...update.fields, observedGeneration: generation, conditions } as unknown as Status & object;
    const status = without(whole, leftOut);
    const isNew = object.status?.observedGeneration !== generation || transitions(before, conditions).length > 0;
    const dueMs = (this.#writtenAt.get(keyOf(object)) ?? -Infinity) + figuresEveryMs - clock.now();
    if (!isNew && dueMs > 0) return equal(object.status, status) ? undefined : dueMs;
    const resource = object as Resource<unknown, Status & object>;
    try {
      const { isWritten, undeclared } = await writeStatus(api, this.#type, resource, status, { manager, signal });
      this.#leaveOut(undeclared);
      if (!isWritten) return;
    } catch (error) {
      if (isNotFound(error)) return; // somebody has deleted the resource meanwhile
      throw error;
    }
    this.#writtenAt.set(keyOf(object), clock.now());
    const ready = transitions(before, conditions).find((condition) => condition.type === 'Ready');
    if (!ready) return;
    const { status: isReady, reason, message } = ready;
    const isNormal = isReady === 'True' || inProgressReasons.has(reason);
    const note = message || (isReady === 'True' ? 'is ready' : reason);
    events.record(object, { type: isNormal ? 'Normal' : 'Warning', reason, action: 'Reconcile', note });
  }

  /** Says of a resource that its reconcile fails, and keeps the rest of its status. @param object undefined where it is gone */
  async fail(object: Resource<unknown, Status> | undefined, error: unknown, signal: AbortSignal): Promise<void> {
    if (!object) return;
    const reason = isRefusal(error) ? 'ReconcileRefused' : 'ReconcileFailed';
    const message = error instanceof Error ? error.message : String(error);
    await this.notReady(object, { reason, message }, signal);
  }

  /** Says why a resource is not ready, and keeps the rest of its status. */
  async notReady(
    object: Resource<unknown, Status>,
    why: Pick<ConditionUpdate, 'reason' | 'message'>,
    signal: AbortSignal,
  ): Promise<void> {
    const fields = fieldsOf(object.status) as StatusUpdate<Status>['fields'];
    await this.report(object, { conditions: [{ type: 'Ready', status: 'False', ...why }], fields }, signal);
  }

  /** Remembers fields that the CRD does not declare, and says so once of each. */
  #leaveOut(fields: readonly string[]): void {
    const { clock, log } = this.#context;
    const { kind } = this.#type;
    const isNew = fields.some((field) => !this.#undeclared.has(field));
    for (const field of fields) this.#undeclared.set(field, clock.now() + undeclaredMs);
    if (!isNew) return;
    log.warn(
      { kind, fields },
      'the CRD is older than the operator and lacks fields of the status: apply the CRDs of its release',
    );
  }

  /** Forgets a resource that is gone. */
  forget(key: string): void {
    this.#writtenAt.delete(key);
    this.#metrics.ready(this.#type, key, undefined);
  }
}

/** The fields of a status that are not conditions, as they were written last. */
export function fieldsOf<Status extends StatusWithConditions>(
  status: Status | undefined,
): Partial<StatusUpdate<Status>['fields']> {
  const { conditions: _c, observedGeneration: _o, ...fields } = status ?? ({} as Status);
  return fields;
}

/** A figure that moves all the time, with two significant digits, so that a status is not written for each event. */
export const rounded = (figure: number): number => Number(figure.toPrecision(2));
