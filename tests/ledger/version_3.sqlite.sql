-- A ledger of version 3, as the router of that version left it. Its rows are made up.
BEGIN TRANSACTION;
CREATE TABLE ledger_claims (
	id VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	ack BLOB NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "ledger_claims" VALUES('e0','in.sil/0@4',X'41434B2D30',1700000000.0);
INSERT INTO "ledger_claims" VALUES('e1','in.sil/0@11',X'41434B2D31',1700000001.0);
INSERT INTO "ledger_claims" VALUES('e2','in.sil/3@2',X'00FF',1700000002.0);
CREATE TABLE ledger_deliveries (
	id VARCHAR NOT NULL, 
	event_id VARCHAR NOT NULL, 
	sink VARCHAR NOT NULL, 
	destination VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	lane VARCHAR NOT NULL, 
	feed VARCHAR NOT NULL, 
	pipeline VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	lineage VARCHAR NOT NULL, 
	document VARCHAR NOT NULL, 
	replaces VARCHAR NOT NULL, 
	action VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	strict BOOLEAN NOT NULL, 
	replay INTEGER NOT NULL, 
	created FLOAT NOT NULL, 
	partition INTEGER NOT NULL, 
	sequence BIGINT NOT NULL, 
	bytes_at VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	first_try FLOAT NOT NULL, 
	next_try FLOAT NOT NULL, 
	code VARCHAR NOT NULL, 
	text TEXT NOT NULL, 
	evidence TEXT NOT NULL, 
	updated FLOAT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "ledger_deliveries" VALUES('begun','event-begun','mssante.chu','mss:1','k','k|mss:1','sil','biologie','d1','l-1','doc','old','replace','adam.hoda@test-ci-sis.mssante.fr','in.sil/3@17',1,2,1700000000.125,0,4,'out.x/1@8589934592','begun',2,0.0,0.0,'','','{"engine.command": "out.mssante.chu/0/9@1700000050.000 out.mssante.chu/0/12@1700000051.500", "engine.unknown": "1"}',0.0);
INSERT INTO "ledger_deliveries" VALUES('dead','event-dead','mssante.chu','mss:1','k','k|mss:1','sil','biologie','d1','l-1','doc','old','replace','adam.hoda@test-ci-sis.mssante.fr','in.sil/3@17',1,2,1700000000.125,1,5,'out.x/1@8589934592','dead',0,0.0,0.0,'MSS-550','no','{"engine.waited": "60.000", "engine.last": "1700000102.000", "place": "RCPT", "cause": "abc"}',0.0);
INSERT INTO "ledger_deliveries" VALUES('deposit','event-deposit','dmp.chu','mss:1','k','k|mss:1','sil','biologie','d1','l-1','doc','old','replace','adam.hoda@test-ci-sis.mssante.fr','in.sil/3@17',1,2,1700000000.125,0,30,'out.x/1@8589934592','dead',0,0.0,0.0,'DMP-X','','{"engine.unknown": "1", "place": "TD2", "cause": "def"}',0.0);
INSERT INTO "ledger_deliveries" VALUES('done','event-done','mssante.chu','mss:1','k','k|mss:1','sil','biologie','d1','l-1','doc','old','replace','adam.hoda@test-ci-sis.mssante.fr','in.sil/3@17',1,2,1700000000.125,1,7,'out.x/1@8589934592','done',0,0.0,0.0,'','','{"message_id": "<a@b>"}',0.0);
INSERT INTO "ledger_deliveries" VALUES('old','event-old','mssante.chu','mss:1','k','k|mss:1','sil','biologie','d1','l-1','doc','old','replace','adam.hoda@test-ci-sis.mssante.fr','in.sil/3@17',1,2,1700000000.125,2,-5,'out.x/1@8589934592','done',0,0.0,0.0,'','','',0.0);
INSERT INTO "ledger_deliveries" VALUES('ready','event-ready','mssante.chu','mss:1','k','k|mss:1','sil','biologie','d1','l-1','doc','old','replace','adam.hoda@test-ci-sis.mssante.fr','in.sil/3@17',1,2,1700000000.125,0,1,'out.x/1@8589934592','ready',0,0.0,0.0,'','','',0.0);
INSERT INTO "ledger_deliveries" VALUES('superseded','event-superseded','mssante.chu','mss:1','k','k|mss:1','sil','biologie','d1','l-1','doc','old','replace','adam.hoda@test-ci-sis.mssante.fr','in.sil/3@17',1,2,1700000000.125,1,6,'out.x/1@8589934592','superseded',0,0.0,0.0,'','','{"superseded_by": "e9", "outcome": "unknown"}',0.0);
INSERT INTO "ledger_deliveries" VALUES('unknown','event-unknown','mssante.chu','mss:1','k','k|mss:1','sil','biologie','d1','l-1','doc','old','replace','adam.hoda@test-ci-sis.mssante.fr','in.sil/3@17',1,2,1700000000.125,0,3,'out.x/1@8589934592','unknown',1,0.0,0.0,'','','{"engine.unknown": "1", "engine.last": "1700000101.000"}',0.0);
INSERT INTO "ledger_deliveries" VALUES('waiting','event-waiting','mssante.chu','mss:1','k','k|mss:1','sil','biologie','d1','l-1','doc','old','replace','adam.hoda@test-ci-sis.mssante.fr','in.sil/3@17',1,2,1700000000.125,0,2,'out.x/1@8589934592','waiting',4,0.0,1700000200.0,'MSS-450','later','{"engine.waited": "12.500", "engine.outages": "2", "engine.last": "1700000100.250"}',0.0);
CREATE TABLE ledger_fences (
	sink VARCHAR NOT NULL, 
	partition INTEGER NOT NULL, 
	epoch BIGINT NOT NULL, 
	PRIMARY KEY (sink, partition)
);
INSERT INTO "ledger_fences" VALUES('mssante.chu',0,1);
INSERT INTO "ledger_fences" VALUES('mssante.chu',1,1);
CREATE TABLE schema_versions (
	room VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (room)
);
INSERT INTO "schema_versions" VALUES('ledger',3);
CREATE INDEX ix_ledger_claims_at ON ledger_claims (at);
CREATE INDEX ledger_deliveries_event ON ledger_deliveries (event_id);
CREATE INDEX ledger_deliveries_done ON ledger_deliveries (updated) WHERE state IN ('done', 'superseded');
CREATE INDEX ledger_deliveries_lineage ON ledger_deliveries (sink, lineage);
CREATE INDEX ledger_deliveries_unfinished ON ledger_deliveries (sink, partition, sequence) WHERE state IN ('ready', 'begun', 'waiting', 'parked', 'unknown');
CREATE INDEX ledger_deliveries_dead ON ledger_deliveries (sink) WHERE state = 'dead';
CREATE INDEX ledger_deliveries_replaces ON ledger_deliveries (sink, replaces) WHERE replaces != '';
COMMIT;
