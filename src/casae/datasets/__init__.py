"""What casae learns from: tables of labelled images and one reader per dataset."""
