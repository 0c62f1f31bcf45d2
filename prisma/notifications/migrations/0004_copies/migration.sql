-- How often a mail was handed over without an answer: its user may have got it each time.
ALTER TABLE "deliveries" ADD COLUMN "copies" SMALLINT NOT NULL DEFAULT 0;
