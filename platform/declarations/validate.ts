import { Compile } from 'typebox/compile';
import type { EventService } from './declarations.ts';
import { EventServiceSpec } from './event-service.ts';

/**
 * Holds the declarations of services against the schema that the operator's CRD is made from.
 * @returns each mistake, with the service and the field: `orders: spec.port must be integer`
 */
export function declarationFaults(services: readonly EventService[]): string[] {
  const schema = Compile(EventServiceSpec);
  return services.flatMap(({ metadata, spec }) => {
    const unknown = Object.keys(spec).filter((field) => !Object.hasOwn(EventServiceSpec.properties, field));
    const databases = new Set((spec.databases ?? []).map(({ name }) => name));
    const lost = (spec.consumes ?? []).filter(({ database }) => !databases.has(database));
    return [
      ...unknown.map((field) => `spec.${field} is not known`),
      ...schema.Errors(spec).map(({ instancePath, message }) => `spec${instancePath.replaceAll('/', '.')} ${message}`),
      ...lost.map(
        ({ group, database }) => `${group} writes to the database ${database}, which the service does not have`,
      ),
    ].map((fault) => `${metadata.name}: ${fault}`);
  });
}
