import { Prisma } from '#prisma/users/client/client.ts';

/** The error of the PostgreSQL adapter for a violated unique index. */
interface ConstraintError {
  driverAdapterError?: { cause?: { constraint?: { index?: string } } };
}

const uniqueIndexes: Record<string, 'username' | 'email'> = {
  users_username_key: 'username',
  users_email_key: 'email',
};

/** The field whose value another user has; undefined for other errors. */
export function takenField(error: unknown): 'username' | 'email' | undefined {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002') return undefined;
  const { driverAdapterError } = (error.meta ?? {}) as ConstraintError;
  return uniqueIndexes[driverAdapterError?.cause?.constraint?.index ?? ''];
}

/** Whether the error means that the row to change does not exist. */
export function isMissing(error: unknown): boolean {
  return error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2025';
}
