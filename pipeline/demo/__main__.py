from pipeline.demo.command import main

raise SystemExit(main())
