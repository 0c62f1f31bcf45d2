import { Prisma } from '#prisma/users/client/client.ts';

/** What the PostgreSQL adapter says about a unique index that refused a row. */
interface ConstraintError {
  driverAdapterError?: { cause?: { constraint?: { index?: string } } };
}

const uniqueIndexes: Record<string, 'username' | 'email'> = {
  users_username_key: 'username',
  users_email_key: 'email',
};

/** The field whose value another user has already, where that is what the error says. */
export function takenField(error: unknown): 'username' | 'email' | undefined {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002') return undefined;
  const { driverAdapterError } = (error.meta ?? {}) as ConstraintError;
  return uniqueIndexes[driverAdapterError?.cause?.constraint?.index ?? ''];
}

/** Whether the error says that the row to change is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2025';
}
