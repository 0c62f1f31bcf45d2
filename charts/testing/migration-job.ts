import { Default } from 'typebox/value';

import { EventServiceSpec } from '#platform/declaration-schema';

import type { EventService } from '../../operators/millrace/api/event-service.ts';
import { migrationJobOf } from '../../operators/millrace/event-service/migration.ts';
import type { Resource } from '../testing.ts';

/** What the API server stores of the spec of a rendered EventService: it fills in the defaults of the schema. */
export const storedSpec = (service: Resource): EventService['spec'] =>
  Default(EventServiceSpec, structuredClone(service['spec'])) as EventService['spec'];

/** The Job that the operator makes for a rendered EventService with databases, `<service>-migrate-m`. */
export function migrationJob(service: Resource): Resource {
  const metadata = { ...service.metadata, namespace: 'shop', uid: 'uid' };
  const stored = { apiVersion: service['apiVersion'] as string, kind: service.kind, metadata };
  return migrationJobOf({ ...stored, spec: storedSpec(service) }, 'm') as Resource;
}
