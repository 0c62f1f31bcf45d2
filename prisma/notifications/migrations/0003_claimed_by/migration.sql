-- Which process has claimed a delivery: a claim whose answer was lost, or whose process was killed, is released before its lease ends.
ALTER TABLE "deliveries" ADD COLUMN "claimed_by" TEXT;
