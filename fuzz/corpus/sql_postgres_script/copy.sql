COPY (SELECT f(1), (2)) TO STDOUT WITH (FORMAT csv, HEADER, DELIMITER ';', NULL 'NA', QUOTE '"', ESCAPE E'\\', FORCE_QUOTE *);
copy Flights (a, "B") from stdin delimiter as E'\t' null as '' csv header force quote *; COPY s.t TO STDOUT (ENCODING 'utf-8')
