import { PrismaPg } from '@prisma/adapter-pg';
import {
  bindMigrationAwareSqlAdapterFactory,
  DriverAdapterError,
  type ErrorCapturingSqlMigrationAwareDriverAdapterFactory,
} from '@prisma/driver-adapter-utils';
import pg from 'pg';

/**
 * How the schema engine reaches PostgreSQL: Prisma's adapter with another `executeScript`. Its own cuts a script at every
 * semicolon, even in a comment or a string, and runs the pieces one by one, so that a failed migration stays half
 * applied; here a script is one query, which PostgreSQL parses itself and runs as one transaction.
 */
export function migrationAdapter(pool: pg.Pool): ErrorCapturingSqlMigrationAwareDriverAdapterFactory {
  const prisma = new PrismaPg(pool);
  return bindMigrationAwareSqlAdapterFactory({
    provider: prisma.provider,
    adapterName: prisma.adapterName,
    connectToShadowDb: () => prisma.connectToShadowDb(),
    connect: async () =>
      Object.assign(await prisma.connect(), {
        executeScript: async (script: string): Promise<void> => {
          try {
            await pool.query(script);
          } catch (error) {
            throw error instanceof pg.DatabaseError ? asAdapterError(error) : error;
          }
        },
      }),
  });
}

function asAdapterError(error: pg.DatabaseError): DriverAdapterError {
  return new DriverAdapterError({
    kind: 'postgres',
    code: error.code ?? 'N/A',
    severity: error.severity ?? 'ERROR',
    message: error.message,
    detail: error.detail,
    column: error.column,
    hint: error.hint,
  });
}
