import { PrismaPg } from '@prisma/adapter-pg';
import type { Pool } from '#platform/postgres';
import { PrismaClient } from '#prisma/notifications/client/client.ts';
import type { Notification } from '#prisma/notifications/client/client.ts';

export interface PageRequest {
  userId?: bigint;
  /** only those with a smaller id */
  before: bigint | undefined;
  limit: number;
}

/** Reads notifications. */
export class Archive {
  readonly #prisma: PrismaClient;

  constructor(pool: Pool) {
    this.#prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
  }

  async find(id: bigint): Promise<Notification | null> {
    return this.#prisma.notification.findUnique({ where: { id } });
  }

  /** Newest first. */
  async list({ userId, before, limit }: PageRequest): Promise<Notification[]> {
    return this.#prisma.notification.findMany({
      where: { ...(userId !== undefined && { userId }), ...(before !== undefined && { id: { lt: before } }) },
      orderBy: { id: 'desc' },
      take: limit,
    });
  }

  async close(): Promise<void> {
    await this.#prisma.$disconnect();
  }
}
