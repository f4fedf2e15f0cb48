"""What MetaSchedule found: `<target>/<variant>/` is a log. A package, so that wheels carry it."""
