//! Topics and files as SQL tables: batch SQL on DataFusion.
